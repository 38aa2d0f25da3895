"""Parsing and running the command line `python -m data_prep STAGE …`."""

import argparse
import difflib
import inspect
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from data_prep.errors import DataPrepError
from data_prep.formats.file_names import at_home
from data_prep.runtime.console import refuse_old_options
from data_prep.runtime.process import tune_process
from data_prep.stages import STAGES, stages_of_plugins

EXAMPLE = "example:\n  python -m data_prep fasta rnas.fa.gz --out corpora/rnas\n  python -m data_prep STAGE --help"


_NOBODY_READS = 141  # 128 + SIGPIPE, as shells count


NAMING = ("LIST", "FILE", "FASTA", "TABLE", "SET")  # metavars of options of which several could seem to add up


class _StoreOnce(argparse.Action):
    """Names or files of one option that is given again, with others, are an error: the last would win unseen.

    A number or a choice may be given again, as commands that call this one do to replace an earlier one.
    """

    given: tuple[str, Any] | None = None  # what was written, its value

    def __call__(self, parser, namespace, values, option_string=None):
        """Store the value."""
        if self.metavar in NAMING and self.given and self.given[1] != values:
            parser.error(f"{self.given[0]} is given twice, with {self.given[1]} and {values}; give it once")
        self.given = option_string or self.dest, values
        setattr(namespace, self.dest, values)


class _OneLineParser(argparse.ArgumentParser):
    """Usage errors are one line, like all others."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("action", None, _StoreOnce)

    def error(self, message: str):
        raise DataPrepError(f"{message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage. Exit status: 0 done, 2 bad input or usage, 130 interrupted, 141 nobody reads, 1 unforeseen."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    tune_process()
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `... | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  the interpreter flushes it when it ends
        return _NOBODY_READS
    except DataPrepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {place}{error.strerror or error}; nothing was published; fix this and run the command again",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished shards are kept, run the same command again to go on", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from data_prep.corpus.version import describe_version

        print(describe_version(("numpy", "pyarrow", "ViennaRNA")))
        return 0
    stage, options = parse_command(arguments)
    return stage.run(options)


def parse_command(arguments: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """Return the module of the stage that the first word names, and its options; DataPrepError if they are wrong."""
    name = arguments[0]
    if name not in STAGES and name not in stages_of_plugins():
        nearest = difflib.get_close_matches(name, STAGES, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"stages: {', '.join(STAGES)}"
        raise DataPrepError(f"unknown stage {name!r}; {hint}")
    # Only the chosen stage is imported: `--help` stays fast however heavy the others are.
    module = _module_of(name)
    parser = _OneLineParser(
        prog=f"python -m data_prep {name}",
        description=inspect.cleandoc(module.__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    refuse_old_options(parser, arguments[1:])
    return module, parser.parse_args([at_home(word) for word in arguments[1:]])


def _module_of(name: str) -> ModuleType:
    if name in STAGES:
        return import_module(f"data_prep.stages.{name.replace('-', '_')}")
    point = stages_of_plugins()[name]
    try:
        module = point.load()
    except Exception as error:  # code of another package
        reason = " ".join(str(error).split())[:200]
        raise DataPrepError(
            f"stage {name!r} of a plug-in ({point.value}) cannot be loaded: {type(error).__name__}: {reason}; fix it"
        ) from None
    assert isinstance(module, ModuleType), f"the entry point of stage {name} names a module"
    return module


def _overview() -> str:
    stages = STAGES | {name: f"of a plug-in ({point.value})" for name, point in stages_of_plugins().items()}
    width = max(map(len, stages))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in stages.items()]
    return "\n".join(["usage: python -m data_prep STAGE …", "", "stages:", *lines, "", EXAMPLE])
