"""Start and end of commands: wrong use, wrong input, an interruption and a closed pipe are one line each."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

from data_prep.errors import DataPrepError
from data_prep.formats.file_names import at_home
from pretrain.errors import PolymeraseError, RunError

TRACEBACK = "POLYMERASE_TRACEBACK"  # set: what nobody foresaw is shown whole
_INTERRUPTED, _NOBODY_READS = 130, 141  # 128 + SIGINT, 128 + SIGPIPE, as shells count
_LINGER_S = 30.0  # longer than one rank of a host starts after another
_HERE = Path(__file__).resolve().parents[2]
P = ParamSpec("P")


LIBRARIES = ("torch", "deepspeed", "transformers")  # that --version names


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from data_prep.corpus.version import describe_version

        print(describe_version(LIBRARIES))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """An argument parser whose epilogs keep their lines and whose usage errors are one line."""

    def __init__(self, prog: str, description: str, epilog: str):
        super().__init__(
            prog=prog, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.add_argument("--version", action=_ShowVersion, nargs=0, help="show versions and commit, and leave")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Parse, with the home folder for ``~``."""
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([at_home(word) for word in words], namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the usage error as PolymeraseError."""
        raise PolymeraseError(f"{message}; see {self.prog} --help")


def program(name: str) -> str:
    """Return how a command was called: through the console script, or as a script of a clone."""
    if Path(sys.argv[0]).name == "polymerase":
        return f"polymerase {name}"
    return f"{'deepspeed' if name == 'pretrain' else 'python'} launch/{name}.py"


def positive(text: str) -> int:
    """Parse an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return int(text)


def count(text: str) -> int:
    """Parse an option that counts something and may be 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer of 0 or more, got {text!r}")
    return int(text)


def above_zero(text: str) -> float:
    """Parse an option that is a rate or a time."""
    if not 0 < (value := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def not_negative(text: str) -> float:
    """Parse an option that is a number of 0 or more."""
    if not 0 <= (value := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def refuse_idle(
    parser: argparse.ArgumentParser, args: argparse.Namespace, mode: str, used_by: Mapping[str, str]
) -> None:
    """PolymeraseError for an option that was given and would change nothing.

    Args:
        parser: knows the values of options that were not given.
        args: what it has read.
        mode: the option that says what is done, without its dashes.
        used_by: attribute of ``args`` -> the modes that make use of it, separated by blanks.
    """
    for name, modes in used_by.items():
        if getattr(args, name) != parser.get_default(name) and mode not in modes.split():
            options = " or ".join(f"--{one}" for one in modes.split())
            raise PolymeraseError(
                f"--{name.replace('_', '-')} has no effect with --{mode.replace('_', '-')}, only with "
                f"{options.replace('_', '-')}; leave it out"
            )


def refuse_without(parser: argparse.ArgumentParser, args: argparse.Namespace, names: Iterable[str], needs: str) -> None:
    """PolymeraseError for one of the options ``names`` that was given without what it ``needs``."""
    for name in names:
        if getattr(args, name) != parser.get_default(name):
            raise PolymeraseError(f"--{name} has no effect without {needs}; add it, or leave --{name} out")


def as_json(result: Any) -> str:
    """Format one JSON object; numbers that are not finite become null, which every reader knows."""
    return json.dumps(_finite(result), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate the main function of a command: what it raises becomes a line on stderr and an exit status.

    2: wrong input or use. 130: interrupted. 1: anything else; the line names where it happened, and with
    POLYMERASE_TRACEBACK=1 it is raised.
    """

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        _wait_without_spinning()
        try:
            status = main(*args, **kwargs)
            sys.stdout.flush()
            return status
        except RunError as error:
            return _complain(f"error: {error}", 1)
        except (PolymeraseError, DataPrepError) as error:
            return _complain(f"error: {error}", 2)
        except KeyboardInterrupt:
            pass  # said below, when the interrupted frames are gone and with them their bars
        except BrokenPipeError:  # as in `... | head`
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  the interpreter flushes it when it ends
            return _NOBODY_READS
        except OSError as error:
            if TRACEBACK in os.environ:
                raise
            place = f"{error.filename}: " if error.filename else ""
            return _complain(f"error: {place}{error.strerror or error}", 2)
        except Exception as error:
            if TRACEBACK in os.environ:
                raise
            return _complain(_unforeseen(error), 1)
        return _complain("interrupted", _INTERRUPTED)

    return run


def _wait_without_spinning() -> None:
    """Let torch's threads on a CPU sleep soon while they wait for one another; read when torch is imported.

    By default they spin for long: no matter on a quiet machine, but where another process has the core of the
    thread that is waited for, most of the time goes into spinning (docs/troubleshooting.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def end_process(main: Callable[[], int]) -> NoReturn:
    """Run a command and leave without the interpreter's shutdown, in which gloo's threads may abort a good run."""
    try:
        code = main()
    except SystemExit as wish:
        code = wish.code if isinstance(wish.code, int) else 1
    except BaseException:
        with contextlib.suppress(OSError):
            traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):  # whoever read the output may be gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _complain(line: str, status: int) -> int:
    if speaks():
        print(line, file=sys.stderr, flush=True)
    return status


def speaks() -> bool:
    """Tell whether this rank reports errors before the ranks have met: those of one host have the same to report.

    A launcher ends all ranks as soon as one has ended with an error, and the one that reports may still be importing:
    the others wait to be ended.
    """
    from pretrain.distributed.launchers import find_place

    place = find_place()
    if place.rank == 0 or place.local_rank == 0:
        return True
    time.sleep(_LINGER_S)
    return False


def _unforeseen(error: Exception) -> str:
    """One line with the last place in our own code."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_HERE)
    ]
    place = f" in {Path(frames[-1].filename).relative_to(_HERE)}:{frames[-1].lineno}" if frames else ""
    reason = " ".join(str(error).split())[:300]
    return f"error: {type(error).__name__}{place}: {reason} (unexpected; {TRACEBACK}=1 shows the traceback)"
