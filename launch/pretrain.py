"""deepspeed launch/pretrain.py --config ernie.yaml [section.key=value ...]: pretrain, or continue a pretraining."""

import sys
from pathlib import Path

# This script's folder comes first on sys.path, where this very file hides the package `pretrain`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import os

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no C++ stack traces around "lost rank 3"; read by import torch

from pretrain.errors import PolymeraseError, RunError

EXAMPLE = """examples:
  deepspeed launch/pretrain.py --config demo/ernie.yaml corpus.path=corpora/mine
  deepspeed --num_gpus 8 launch/pretrain.py --config ernie.yaml corpus.path=corpora/rnacentral batch.accumulation=12
  deepspeed launch/pretrain.py --config ernie.yaml model.init_from=exports/ernie corpus.path=corpora/mine
  python launch/pretrain.py --config ernie.yaml corpus.path=corpora/mine --dry-run

exit status: 0 finished, 75 asked to stop and saved (run the same command again), 2 wrong input, 1 anything else
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="deepspeed launch/pretrain.py",
        description="Pretrain a nucleotide language model from a YAML config.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--config", required=True, help="YAML file, as given or under configs/")
    result.add_argument(
        "settings", nargs="*", metavar="section.key=value", help="settings that replace those of the file"
    )
    result.add_argument("--dry-run", action="store_true", help="print the resolved plan and leave")
    result.add_argument(
        "--ranks", type=int, default=int(os.environ.get("WORLD_SIZE", "1")), help="ranks that --dry-run plans for"
    )
    result.add_argument(
        "--resume",
        default="auto",
        metavar="auto|never|PATH",
        help="where to start (default: auto, the run's newest whole checkpoint)",
    )
    result.add_argument(
        "--allow-change", action="append", default=[], metavar="NAME",
        help="let a resumed run differ from its checkpoint: corpus, reading, objectives, batch, masking or optimizer",
    )  # fmt: skip
    result.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)  # DeepSpeed's launcher adds it
    return result


def main() -> int:
    """Run; the exit status is in the help."""
    args = parser().parse_intermixed_args()
    try:
        from pretrain.config import load_config

        config = load_config(args.config, args.settings)
        if args.dry_run:
            from pretrain.dry_run import describe

            print(describe(config, args.ranks))
            return 0
        return _train(config, args)
    except RunError as error:
        return _complain(error, 1)
    except PolymeraseError as error:
        return _complain(error, 2)


def _complain(error: PolymeraseError, status: int) -> int:
    """All ranks have the same to say, so the first one says it."""
    if os.environ.get("RANK", "0") == "0":
        print(f"error: {error}", file=sys.stderr, flush=True)
    return status


def _train(config, args: argparse.Namespace) -> int:
    from pretrain.assembly import assemble
    from pretrain.distributed import join
    from pretrain.signals import EXIT_PREEMPTED
    from pretrain.trainer import Trainer

    parts = assemble(config)
    engine = config.engine
    place = join(engine.timeout_s, engine.require_gpu, engine.lost_rank_s, engine.interface, engine.port)
    try:
        done = Trainer(parts, place, args.resume, args.allow_change).run()
    except RuntimeError as error:  # what torch raises when the other side of a collective is gone
        cause = place.watch.explain() if place.watch else None
        if cause is None:
            raise
        print(f"error: {cause}\n  ({error})", file=sys.stderr, flush=True)  # ranks may see different things
        return 1
    return 0 if done else EXIT_PREEMPTED


def leave(status: int) -> None:
    """End without the interpreter's shutdown, in which gloo's threads now and then abort a good run."""
    with contextlib.suppress(OSError):  # whoever read the output may be gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as wish:
        code = wish.code if isinstance(wish.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    leave(code)
