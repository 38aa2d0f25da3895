"""Steps of several contestants in turn, and their comparison."""

from __future__ import annotations

from contextlib import ExitStack
from time import monotonic
from typing import Any

import numpy as np

from pretrain.benchmarking.contestants import BenchmarkPlan
from pretrain.benchmarking.process import PHASES, ContestantHandle, StepTiming, contestant_process
from pretrain.config import Config
from pretrain.config.model_choice import choose
from pretrain.planning.costs import flops_per_token

UTILIZATION = (
    "tokens/s x FLOPs per token / peak FLOP/s; FLOPs per token = 3 x (L x (2 x (4 D^2 + 2 D F) + 4 T D) + "
    "selected x 2 D (D + V)), T the mean over tokens of their sequence's length; no padding"
)


def compare(
    config: Config, names: list[str], course: BenchmarkPlan, warmup: int, max_seconds: float, profile: bool = False
) -> dict[str, Any]:
    """Run the contestants over the plan, one step each in turn, until it ends or time is up (after a whole round).

    Before that, they warm up on its first batches, ``warmup`` steps or as long as time allows, whichever is less.

    Returns:
        Per contestant its measurements; ``ratios``: ours divided by each other, in tokens per second of the same rounds
        and in peak memory of a rank; ``hardware``; ``profile`` of one step of ours, if asked for.
    """
    with ExitStack() as stack:
        remotes = [stack.enter_context(contestant_process(name, config, course)) for name in names]
        for remote in remotes:
            remote.wait()
        warm, end = 0, monotonic() + max_seconds
        while warm < warmup and (not warm or monotonic() < end):
            for remote in remotes:
                remote.ask("warm_up")
            warm += 1
        for remote in remotes:
            remote.ask("restart")
        rounds: list[list[StepTiming]] = []
        end = monotonic() + max_seconds
        while len(rounds) < course.steps and (not rounds or monotonic() < end):
            rounds.append([remote.step() for remote in remotes])
        hardware = remotes[0].ask("hardware")[0]
        peaks = remotes[0].ask("peak")
        peak = {"flops_per_second": sum(rank["flops_per_second"] for rank in peaks), "source": peaks[0]["source"]}
        results = {
            remote.name: _summary(config, remote, [steps[number] for steps in rounds], peak["flops_per_second"])
            for number, remote in enumerate(remotes)
        }
        operations = {"profile": remotes[0].ask("profile")[0]} if profile else {}
    hardware |= {"peak_flops_per_second": peak["flops_per_second"], "peak_source": peak["source"]}
    counted = {
        "hardware": hardware,
        "ranks": course.ranks,
        "rounds": len(rounds),
        "rounds_asked": course.steps,
        "warmup": warm,
        "model_flops_utilisation": UTILIZATION,
    }
    return {**counted, **results, **_ratios(results), **operations}


def _summary(config: Config, remote: ContestantHandle, steps: list[StepTiming], peak: float) -> dict[str, Any]:
    seconds = np.array([step.seconds for step in steps])  # (rounds, phases)
    tokens, cells = sum(step.tokens for step in steps), sum(step.cells for step in steps)
    flops = flops_per_token(
        choose(config.model)[1],
        sum(step.squares for step in steps) / tokens,
        getattr(config.masking, "rate", 0.15),
    )
    rate = tokens / seconds.sum()
    per_step = seconds.sum(axis=1) * 1e3
    return {
        "tokens_per_second": rate,
        "computed_tokens_per_token": cells / tokens,
        "step_ms_median": float(np.median(per_step)),
        "step_ms_p95": float(np.percentile(per_step, 95)),
        "share_of_step": {
            name: float(part) for name, part in zip(PHASES, seconds.sum(axis=0) / seconds.sum(), strict=True)
        },
        "model_flops_utilisation": flops * rate / peak,
        "peak_memory_bytes": max(remote.ask("memory")),
        **remote.facts,
    }


def _ratios(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    ours = results["ours"]
    others = {name: result for name, result in results.items() if name != "ours"}
    if not others:
        return {}
    speed = {name: ours["tokens_per_second"] / other["tokens_per_second"] for name, other in others.items()}
    memory = {name: ours["peak_memory_bytes"] / other["peak_memory_bytes"] for name, other in others.items()}
    return {"ratio": next(iter(speed.values())), "speed_ratios": speed, "memory_ratios": memory}
