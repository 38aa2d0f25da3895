"""deepspeed launch/pretrain.py --config ernie.yaml [section.key=value ...]: pretrain, or continue a pretraining."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from pretrain.cli.command import TRACEBACK, Parser, command, positive, program, speaks
from pretrain.distributed.signals import EXIT_PREEMPTED, exit_on_signal_during_startup
from pretrain.errors import PolymeraseError, RunError

EXAMPLE = """examples:
  deepspeed launch/pretrain.py --config demo/ernie.yaml corpus.path=corpora/mine
  deepspeed --num_gpus 8 launch/pretrain.py --config ernie.yaml corpus.path=corpora/ernie_rna batch.accumulation=12
  deepspeed launch/pretrain.py --config ernie.yaml model.init_from=exports/ernie corpus.path=corpora/mine
  python launch/pretrain.py --config ernie.yaml corpus.path=corpora/mine --dry-run

exit status: 0 finished, 75 stopped by a signal and saved (run the same command again), 2 wrong input, 1 other errors
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("pretrain"),
        description="Pretrain a nucleotide language model from a YAML config.",
        epilog=EXAMPLE,
    )
    result.add_argument("--config", required=True, help="YAML file, as given or under configs/")
    result.add_argument(
        "settings", nargs="*", metavar="section.key=value", help="settings that replace those of the file"
    )
    result.add_argument(
        "--dry-run", action="store_true", help="print the plan and exit, with status 2 if the run cannot start"
    )
    result.add_argument(
        "--ranks", type=positive, default=int(os.environ.get("WORLD_SIZE", "1")), help="ranks that --dry-run plans for"
    )
    result.add_argument(
        "--card",
        metavar="NAME",
        help="with --dry-run: estimate whether the run fits this GPU, and its speed (H100, A100, ...)",
    )
    result.add_argument(
        "--log-format", choices=("text", "json"), default="text",
        help="lines on stderr: for people, or one JSON object each (default: text)",
    )  # fmt: skip
    result.add_argument(
        "--resume",
        default="auto",
        metavar="auto|never|PATH",
        help="where to start (default: auto, the newest complete checkpoint of the run)",
    )
    result.add_argument(
        "--allow-change", action="append", default=[], metavar="NAME",
        help="let a resumed run differ from its checkpoint: "
        "family, vocabulary, corpus, reading, objectives, batch, masking or optimizer",
    )  # fmt: skip
    result.add_argument("--local_rank", type=int, default=0, help=argparse.SUPPRESS)  # DeepSpeed's launcher adds it
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status is in the help."""
    os.environ.setdefault(TRACEBACK, "1")  # days of work cannot be repeated to see it
    os.environ.setdefault(
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128"
    )  # of 1024: 361 widths of attention hold 309 MB, not 571
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no C++ stacks around "lost rank 3"; read by import torch
    args = parser().parse_intermixed_args(arguments)
    if args.card and not args.dry_run:
        raise PolymeraseError("--card estimates without running; add --dry-run")
    if args.dry_run and args.log_format != "text":
        raise PolymeraseError("--log-format has no effect with --dry-run, which does not run; leave it out")
    if not args.dry_run:
        exit_on_signal_during_startup()
    try:
        from pretrain.config import load_config

        config = load_config(args.config, args.settings)
        if args.card:
            from pretrain.planning.counted.cards import find_card

            find_card(args.card)
        if args.dry_run:
            return _plan(config, args)
        return _train(config, args)
    except PolymeraseError as error:
        return _end(error, speaks())


def _plan(config, args: argparse.Namespace) -> int:
    from pretrain.planning.dry_run import plan_run

    words = ["--config", args.config, *args.settings]
    words += ["--resume", args.resume] if args.resume != "auto" else []
    for name in args.allow_change:
        words += ["--allow-change", name]
    plan = plan_run(config, args.ranks, words, args.resume, args.allow_change, args.card)
    print(plan.text, flush=True)
    if plan.problem is not None:
        raise PolymeraseError(f"the run cannot start: {plan.problem}")
    return 0


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the log's disk may be full, or its reader gone: the status still tells
        print(text, file=sys.stderr, flush=True)


def _end(error: PolymeraseError, speaks: bool) -> int:
    if speaks:
        _say(f"error: {error}")
    return 1 if isinstance(error, RunError) else 2


def _bench(components):
    """What ``train.bench_every`` asks; wrong files are said before the training."""
    if components.config.train.bench is None:
        return None
    from pretrain.evaluation.bench.in_training import BenchInTraining

    return BenchInTraining(components)


def _train(config, args: argparse.Namespace) -> int:
    import torch

    from pretrain.distributed.context import (
        broadcast_object,
        check_device,
        init_distributed,
        raise_on_any_rank,
    )
    from pretrain.distributed.launchers import missing_srun, set_rank_environment
    from pretrain.planning.utilization import utilization
    from pretrain.runs.tracking import check_sinks
    from pretrain.training.components import RunComponents, build_components
    from pretrain.training.engine import check_deepspeed
    from pretrain.training.progress import Shown
    from pretrain.training.trainer import build_trainer

    engine, problem = config.engine, None
    components: RunComponents | None = None
    bench = None
    set_rank_environment(engine.port)
    try:
        check_device(engine.precision, engine.require_gpu)
        check_deepspeed(config)
        check_sinks(config.tracking)
        components = build_components(config)
        bench = _bench(components)
    except PolymeraseError as error:
        if os.environ["WORLD_SIZE"] == "1":
            raise
        problem = str(error)  # the other ranks may be well, and would wait for this one
        if os.environ["RANK"] == "0":
            _say(f"error: {problem}")  # at once: whoever waits for the others may never get to say it
        if missing_srun() is not None:
            return 2  # there are no others
    dist_context = init_distributed(
        engine.timeout_s, engine.require_gpu, engine.lost_rank_s, engine.interface, engine.port
    )
    if broadcast_object(problem, dist_context) is not None:
        return 2  # rank 0 has said it
    try:
        raise_on_any_rank(problem, dist_context)
        assert components is not None  # or some rank had a problem
        shown = Shown(args.log_format == "json", utilization(components, dist_context.world_size))
        done = build_trainer(components, dist_context, args.resume, args.allow_change, bench, shown).run()
    except PolymeraseError as error:
        if dist_context.heartbeat is None:
            return _end(error, speaks=True)
        dist_context.heartbeat.say_once(f"error: {error}", _say)
        return _end(error, speaks=False)
    except OSError as error:
        return _end(RunError(str(error)), speaks=True)
    except torch.OutOfMemoryError as error:
        advice = "lower batch.tokens, raise engine.zero_stage or set model.checkpoint_activations=true"
        return _end(RunError(f"{str(error).partition('. ')[0]}; {advice}"), speaks=True)
    except RuntimeError as error:  # what torch raises when the other side of a collective is gone
        if str(error).startswith("DataLoader worker"):
            advice = "often because memory ran out; lower train.loader_workers"
            return _end(RunError(f"lost a loader process, {advice} ({str(error).strip()})"), speaks=True)
        cause = dist_context.heartbeat.diagnose() if dist_context.heartbeat else None
        if cause is None:
            raise
        _say(f"error: {cause}\n  ({error})")  # ranks may see different things
        return 1
    return 0 if done else EXIT_PREEMPTED
