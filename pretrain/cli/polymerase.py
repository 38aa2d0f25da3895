"""The console script ``polymerase``: one word per command, the same commands as ``launch/*.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from pretrain.cli.command import LIBRARIES, command, end_process
from pretrain.errors import unknown_name

COMMANDS = {  # word -> (module with ``main``, what it does)
    "pretrain": ("pretrain.cli.pretrain", "train, or continue, a model from a YAML config"),
    "export": ("pretrain.cli.export", "export a checkpoint of a run to a verified Hugging Face folder"),
    "convert": ("pretrain.cli.convert", "convert published weights to a verified Hugging Face folder"),
    "evaluate": ("pretrain.cli.evaluate", "losses with baselines, likelihoods, embeddings, variants, base pairs"),
    "push": ("pretrain.cli.push", "upload an exported folder to a Hugging Face hub"),
    "fetch-model": ("pretrain.cli.fetch_model", "download the folder of a model from a Hugging Face hub"),
    "generate": ("pretrain.cli.generate", "draw sequences from a causal model"),
    "probe": ("pretrain.cli.probe", "does pretraining help a task: linear probes and fine-tuned heads"),
    "bench": ("pretrain.cli.bench", "labeled tasks with fixed splits, with baselines"),
    "compare": ("pretrain.cli.compare", "compare two models: tokens, sizes, weights, losses"),
    "report": ("pretrain.cli.report", "write a report of a run"),
    "find-lr": ("pretrain.cli.find_lr", "learning-rate range test"),
    "forecast": ("pretrain.cli.forecast", "predict the loss of a larger run from small runs, and check it"),
    "reproduce": ("pretrain.cli.reproduce", "reproduce a published model, step by step"),
    "families": ("pretrain.cli.families", "list the published models, or measure them against their references"),
    "benchmark": ("pretrain.cli.benchmark", "measure the speed of a training step or of the data path"),
    "doctor": ("pretrain.cli.doctor", "check the installation"),
    "data": ("data_prep.stages.command", "build corpora: polymerase data STAGE"),
}
ENDS_HARD = ("pretrain", "find-lr")  # commands that leave process groups behind, see ``end_process``


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named first with the rest of the command line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from data_prep.corpus.version import describe_version

        print(describe_version(LIBRARIES))
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    run = partial(import_module(COMMANDS[name][0]).main, rest)
    return end_process(run) if name in ENDS_HARD else run()


def _overview() -> str:
    lines = [f"  {name:<11} {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: polymerase COMMAND ...",
            "",
            "Pretraining of RNA and DNA language models.",
            "",
            *lines,
            "",
            "example:",
            "  polymerase data fasta my.fa.gz --out corpora/mine",
            "  deepspeed --module pretrain.cli.pretrain --config demo/ernie.yaml corpus.path=corpora/mine",
            "  polymerase COMMAND --help",
        ]
    )
