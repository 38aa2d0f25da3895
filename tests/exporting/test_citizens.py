"""An export is a transformers citizen: what users do with exports works in every form, or is refused and documented.

The checks are in ``citizen.py``, the forms in ``forms.py``. The table of ``docs/export.md`` is written from what was
measured here: POLYMERASE_WRITE_TABLE=1 python -m pytest tests/exporting/test_citizens.py, with -m 'slow or not slow'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.exporting.citizen import CHECKS
from tests.exporting.forms import FORMS, job_of
from tests.hang import HANG_S

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "export.md"
MARKS = ("<!-- table of tests/exporting/test_citizens.py -->", "<!-- end of table -->")
OLD_SITE = (
    "POLYMERASE_TRANSFORMERS_4"  # a folder with transformers 4.57, its tokenizers, huggingface_hub, peft, datasets
)
EXTRA_SITE = "POLYMERASE_EXTRA_SITE"  # a folder with onnxruntime, onnxscript and sentence-transformers

# what a class of transformers itself does not do: (forms, check) -> (versions, what to know)
BERT, ESM = ("bert", "bert_kmers", "bert_encoder"), ("esm",)
LIMITS: dict[tuple[tuple[str, ...], str], tuple[tuple[str, ...], str]] = {
    (BERT + ESM, "padded_left"): (("4", "5"), "absolute places and the first column are read: pad on the right"),
    (("bert", "bert_kmers"), "accumulation"): (
        ("5",),
        "transformers' BERT of 5.x swallows `num_items_in_batch`: its loss and gradient grow with accumulation; divide "
        "the rate by it, or use one batch per update",
    ),
    (ESM, "inputs_embeds"): (("4", "5"), "EsmModel leaves out its token dropout: give ids"),
    (ESM, "resized"): (("4", "5"), "EsmForMaskedLM does not resize its output bias"),
    (ESM, "traced"): (("4",), "rotary tables are cached between calls: use `torch.export`"),
    (("convnet",), "inputs_embeds"): (("4", "5"), "one-hot rows: there is no table of tokens"),
    (("convnet",), "resized"): (("4", "5"), "one-hot rows: there is no table of tokens"),
    (("striped_hyena",), "onnx"): (
        ("5", "4"),
        "complex poles: torch.onnx has no operator for them; use `torch.export`",
    ),
    (ESM, "auto_classes"): (("4",), "warns of `inv_freq`, which it computes: logits are equal"),
}
WORDS = {
    "same_logits": "ids and logits of the training code",
    "auto_classes": "AutoConfig, AutoModel, MaskedLM or CausalLM, SequenceClassification, TokenClassification",
    "trainer": "`Trainer`: train, evaluate, predict with every head",
    "accumulation": "2 batches of 4 are 1 of 8, in loss and gradient",
    "problem_types": "`problem_type` in its three forms",
    "checkpointing": "gradient checkpointing, equal gradients",
    "inputs_embeds": "`inputs_embeds` (pairing models: beside the ids)",
    "lora_sequence": "PEFT LoRA SEQ_CLS, also all-linear, saved and reloaded",
    "lora_tokens": "PEFT LoRA TOKEN_CLS, also all-linear, saved and reloaded",
    "lora_features": "PEFT LoRA FEATURE_EXTRACTION, also all-linear, saved and reloaded",
    "resized": "more tokens: head with them, saved and reloaded",
    "quantised": "dynamic quantisation",
    "tuples": "`return_dict=False`",
    "padded_right": "padding on the right changes nothing",
    "padded_left": "padding on the left changes nothing",
    "half": "bfloat16, float16",
    "attention": "eager, sdpa; own code: flash_attention_2 falls back to sdpa",
    "compiled": "`torch.compile(fullgraph=True)`",
    "exported_program": "`torch.export`",
    "traced": "`torch.jit.trace` unpadded, run padded",
    "onnx": "ONNX (onnxruntime), run padded",
    "saved_again": "`save_pretrained` and reload, every head",
    "pipelines": "pipelines: fill-mask, feature-extraction, text-classification",
    "sentence_transformers": "sentence-transformers 6 (which needs transformers 5)",
    "generated": "`generate`",
}


def limit_of(form: str, check: str, version: str) -> str:
    """What is documented of a cell; empty for one that has to work."""
    for (forms, name), (versions, why) in LIMITS.items():
        if form in forms and name == check and version in versions:
            return why
    return ""


def run(jobs: dict[str, Any], folder: Path, site: str | None) -> dict[str, Any]:
    """Results of all checks in a process without this project."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    if site:
        environment["PYTHONPATH"] = site
    command = [sys.executable, "-P", str(HERE / "citizen.py"), str(folder / "jobs.json"), str(folder / "out.json")]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "out.json").read_text())


def check_cells(found: dict[str, Any]) -> None:
    """Each cell works or is what the table says; a documented limit that has gone is an error too."""
    version = found["versions"]["transformers"].split(".")[0]
    wrong = []
    for form, cells in found["results"].items():
        for check, result in cells.items():
            if result.startswith("skipped: "):
                continue
            if bool(result) != bool(limit_of(form, check, version)):
                wrong.append(f"{form}, {check}: {result or 'works, though it is documented not to'}")
    assert not wrong, "\n".join(wrong)


FAST = ["bert_kmers", "esm", "ernie_rna", "mutbert", "causal"]  # one of each code path; the others are slow tests


@pytest.mark.parametrize("form", FAST)
def test_a_form_works_or_says_so(form: str, tmp_path: Path) -> None:
    check_cells(run({form: job_of(form, tmp_path / form)}, tmp_path, os.environ.get(EXTRA_SITE)))


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True], ids=["here", "transformers 4.57"])
def test_every_form_works_or_says_so(old: bool, tmp_path: Path) -> None:
    variable = OLD_SITE if old else EXTRA_SITE
    if old and variable not in os.environ:
        pytest.skip(f"{variable} names no folder with transformers 4.57 (tests/README.md)")
    found = run({form: job_of(form, tmp_path / form) for form in FORMS}, tmp_path, os.environ.get(variable))
    assert found["versions"]["transformers"].startswith("4.57." if old else "5.")
    check_cells(found)


def test_the_page_holds_the_table() -> None:
    assert set(WORDS) == set(CHECKS)
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    wanted = f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}"
    if os.environ.get("POLYMERASE_WRITE_TABLE"):
        PAGE.write_text(wanted)
    assert text == wanted, "write the table anew: POLYMERASE_WRITE_TABLE=1"


def table() -> str:
    """Rows are what users do, columns are forms; numbers are notes."""
    notes: list[str] = []

    def cell(form: str, check: str) -> str:
        if FORMS[form].kind == "encoder" and check not in job_checks(form):
            return "-"
        if check in absent(form):
            return "-"
        limits = [(v, limit_of(form, check, v)) for v in ("4", "5") if limit_of(form, check, v)]
        if not limits:
            return "✓"
        only = "" if len(limits) == 2 else f"transformers {limits[0][0]}: "
        note = only + limits[0][1]
        if note not in notes:
            notes.append(note)
        return f"({notes.index(note) + 1})"

    lines = [f"| | {' | '.join(form.says for form in FORMS.values())} |", "| --- |" + " :-: |" * len(FORMS)]
    lines += [f"| {words} | {' | '.join(cell(form, check) for form in FORMS)} |" for check, words in WORDS.items()]
    return "\n".join([*lines, "", *(f"{number}. {note}." for number, note in enumerate(notes, start=1))])


def absent(form: str) -> set[str]:
    """What a form has not: causal models generate, some others have no choice of attention."""
    is_causal = form in ("causal", "hyena", "striped_hyena")
    return (set() if is_causal else {"generated"}) | ({"attention"} if FORMS[form].stands_alone else set())


def job_checks(form: str) -> list[str]:
    """Checks that a form is put through."""
    from tests.exporting.forms import ENCODER_CHECKS

    return ENCODER_CHECKS if FORMS[form].kind == "encoder" else list(CHECKS)
