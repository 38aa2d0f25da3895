"""A published model goes on learning on real sequences of its kind, and comes out as a Hugging Face folder again.

Released layout -> launch/convert.py -> 20 steps with model.init_from -> launch/export.py -> stock transformers.
"""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from statistics import mean

import pytest
import torch
from safetensors.torch import load_file

from pretrain.config import load_config
from pretrain.families import FAMILIES
from pretrain.families.published import published_model
from pretrain.importing import load_pretrained_state
from pretrain.models import PackedBatch, side_inputs_of
from tests.recipes.continued import CONTINUED, STEPS, real_corpora
from tests.training.ranks import Job, finish, losses, start

TEXT = "GGCAUACGUUAGCUAACGGAUCCGAUUACGCUA"


def launch(root: Path, script: str, *words: object) -> None:
    """A script of ``launch/`` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, words)])
        patch.setattr(sys, "path", list(sys.path))  # the script replaces the first entry
        assert runpy.run_path(str(root / "launch" / script))["main"]() == 0


@pytest.fixture(scope="module")
def chain(tmp_path_factory, root, golden, shared) -> Path:
    """FAMILY/start, FAMILY/run and FAMILY/end of every family."""
    folder = tmp_path_factory.mktemp("continued")
    corpora = real_corpora(shared / "data", folder)
    jobs = []
    for name, continued in CONTINUED.items():
        here = folder / name
        here.mkdir()
        released = continued.weights(golden, here)
        launch(root, "convert.py", "--family", name, released, "--out", here / "start", *continued.sizes)
        words = [
            f"model.init_from={here / 'start'}", f"corpus.path={corpora[continued.corpus]}", f"run.dir={here / 'run'}",
            f"train.steps={STEPS}", f"schedule.total_steps={STEPS}", "schedule.warmup_steps=2", "optimizer.lr=0.003",
            "optimizer.name=adamw", "train.log_every=1", "train.eval_sequences=8", "batch.accumulation=1",
            "batch.tokens=600", "engine.precision=fp32", "tracking.sinks=[]", *continued.changes,
        ]  # fmt: skip
        config = "ernie" if name == "ernie_rna" else name
        jobs.append(Job(load_config(f"{config}.yaml", words).model_dump(mode="json")))
    finish(start(1, jobs, folder), folder)
    for name in CONTINUED:
        failed = folder / name / "run" / "failed.txt"
        assert not failed.exists(), failed.read_text()
        launch(root, "export.py", folder / name / "run", "--out", folder / name / "end")
    return folder


@pytest.fixture(scope="module")
def in_a_fresh_process(chain) -> dict[str, torch.Tensor]:
    """Logits (T, V) of TEXT by stock transformers, which know nothing of this project."""
    jobs = {name: [str(chain / name / "end"), TEXT, _brings_code(chain / name / "end")] for name in CONTINUED}
    (chain / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("fresh.py")
    command = [sys.executable, "-P", str(script), str(chain / "jobs.json"), str(chain / "logits.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=chain, env=_without_project(), check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return load_file(chain / "logits.safetensors")


def _brings_code(folder: Path) -> bool:
    return any("auto_map" in (folder / file).read_text() for file in ("config.json", "tokenizer_config.json"))


def _without_project() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}


def our_logits(folder: Path, text: str) -> torch.Tensor:
    """(T, V) by our own encoder from the same folder."""
    family, settings, state = load_pretrained_state(str(folder))
    model = published_model(settings).eval()
    model.load_state_dict(
        {name: tensor for name, tensor in state.items() if not name.startswith(("heads.", "unused."))}
    )
    tokenizer = family.build_tokenizer()
    ids = tokenizer.encode_text(text)
    inputs = side_inputs_of(settings, tokenizer.vocab)
    side = {name: torch.from_numpy(fill(ids, None)) for name, fill in inputs.items()}
    with torch.no_grad():
        return model(PackedBatch.pack(torch.from_numpy(ids).long(), [len(ids)], side=side))


@pytest.mark.parametrize("name", CONTINUED)
def test_twenty_more_steps_lower_the_loss(chain, name):
    found = losses(chain / name / "run")
    assert len(found) == STEPS
    assert mean(found[-5:]) < mean(found[:5])


@pytest.mark.parametrize("name", CONTINUED)
def test_transformers_alone_say_what_our_model_says_after_them(chain, in_a_fresh_process, name):
    before, after = (our_logits(chain / name / which, TEXT) for which in ("start", "end"))
    largest = max(1.0, after.abs().max().item() / 10)
    assert (in_a_fresh_process[name] - after).abs().max().item() < 2e-5 * largest
    assert (after - before).abs().max().item() > 1e-2  # it has learned something


def kind(name: str) -> str:
    """A family without its size."""
    return re.sub(r"_(\d+mer|\d+m|2b5|giga|mega|micro|nano|6l)$", "", name)


def test_every_kind_of_family_is_continued():
    kinds = {
        kind(name)
        for name, family in FAMILIES.items()
        if family.architecture == "transformer"  # the others stop and go on in tests/training
    }
    assert kinds == {kind(name) for name in CONTINUED}
