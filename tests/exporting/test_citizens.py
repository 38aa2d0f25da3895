"""An export is a transformers citizen: what users do with exports works in every form, or is refused and documented.

The checks are in ``citizen.py``, the forms in ``forms.py``. What was measured lies in ``citizens.json``, from which the
table of ``docs/export.md`` is written. Measure and write both anew, as a whole or form by form (``-k``):
POLYMERASE_WRITE_TABLE=1 python -m pytest tests/exporting/test_citizens.py -m 'slow or not slow'
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pretrain.families import FAMILIES
from tests.exporting.citizen import CHECKS
from tests.exporting.citizen_process import CitizenProcess
from tests.exporting.forms import ENCODER_CHECKS, FORMS, job_of

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "export.md"
MEASURED = HERE / "citizens.json"
MARKS = ("<!-- table of tests/exporting/test_citizens.py -->", "<!-- end of table -->")
OLD_SITE = "POLYMERASE_TRANSFORMERS_4"  # folders with transformers 4.57 and what it goes with (tests/README.md)
EXTRA_SITE = "POLYMERASE_EXTRA_SITE"  # a folder with onnxruntime, onnxscript and sentence-transformers
WRITES = "POLYMERASE_WRITE_TABLE"

# what a class of transformers itself does not do: (forms, check) -> (versions, what to know)
BERT = ("bert", "bert_kmers", "bert_pairs", "bert_encoder")
ESM, ROTARY_ESM = ("esm", "esm_blocks", "esm_encoder"), ("esm", "esm_encoder")
GPT2 = ("gpt2", "gpt2_encoder")
CONVNETS = ("gpn", "gpn_legacy")
ANY = ("4", "5")
LIMITS: dict[tuple[tuple[str, ...], str], tuple[tuple[str, ...], str]] = {
    (BERT + ESM, "padded_left"): (ANY, "absolute places and the first column are read: pad on the right"),
    (GPT2, "padded_left"): (ANY, "places are counted from the first column: pad on the right, or give `position_ids`"),
    (BERT, "accumulation"): (
        ANY,
        "transformers' BERT of 5.x swallows `num_items_in_batch`: its loss and gradient grow with accumulation; divide "
        "the rate by it, or use one batch per update. That of 4.57 takes the mean of each batch: one with few labels "
        "weighs as much as another",
    ),
    (GPT2, "accumulation"): (
        ANY,
        "transformers' GPT-2 of 5.x swallows `num_items_in_batch` in its classes for classification: their loss and "
        "gradient grow with accumulation; divide the rate by it, or use one batch per update. Those of 4.57 take the "
        "mean of each batch",
    ),
    (GPT2, "traced"): (("4",), "`torch.jit.trace` fails in its causal mask: use `torch.export`"),
    (ESM, "accumulation"): (
        ANY,
        "ESM's loss is the mean of each batch: under accumulation a batch with few labels weighs as much as another",
    ),
    (ESM, "inputs_embeds"): (ANY, "EsmModel leaves out its token dropout: give ids"),
    (ESM, "resized"): (ANY, "EsmForMaskedLM does not resize its output bias"),
    (ROTARY_ESM, "traced"): (("4",), "rotary tables are cached between calls: use `torch.export`"),
    (CONVNETS, "inputs_embeds"): (ANY, "one-hot rows: there is no table of tokens"),
    (CONVNETS, "resized"): (ANY, "one-hot rows: there is no table of tokens"),
    (("striped_hyena",), "onnx"): (ANY, "complex poles: torch.onnx has no operator for them; use `torch.export`"),
    (ROTARY_ESM, "auto_classes"): (("4",), "warns of `inv_freq`, which it computes: logits are equal"),
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
    "quantized": "dynamic quantization",
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
    "sentence_transformers": "sentence-transformers (5 with transformers 4, 6 with 5)",
    "generated": "`generate`",
}


def limit_of(form: str, check: str, version: str) -> str:
    """What is documented of a cell; empty for one that has to work."""
    for (forms, name), (versions, why) in LIMITS.items():
        if form in forms and name == check and version in versions:
            return why
    return ""


def check_cells(found: dict[str, Any]) -> None:
    """Each cell works or is what the table says; a documented limit that has gone is an error too."""
    version = found["versions"]["transformers"].split(".")[0]
    wrong = []
    for form, cells in found["results"].items():
        for check, result in cells.items():
            if not result.startswith("skipped: ") and bool(result) != bool(limit_of(form, check, version)):
                wrong.append(f"{form}, {check}: {result or 'works, though it is documented not to'}")
    assert not wrong, "\n".join(wrong)


def note(found: dict[str, Any]) -> None:
    """Keep what was measured of these forms, beside what is known of others."""
    version = found["versions"]["transformers"].split(".")[0]
    with MEASURED.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # parts of the table are measured side by side
        measured = json.load(file)
        kept = measured.setdefault(version, {})
        for form, cells in found["results"].items():
            results = [
                check + (":absent" if text.startswith("skipped: ") else ":limit" if text else "")
                for check, text in cells.items()
            ]
            kept[form] = {"on": date.today().isoformat(), **found["versions"], "results": " ".join(results)}
        measured[version] = {form: kept[form] for form in FORMS if form in kept}
        file.seek(0)
        file.write(json.dumps(measured, indent=1) + "\n")
        file.truncate()


def test_every_family_has_a_form() -> None:
    covering = {name: [form for form in FORMS.values() if name.startswith(form.covers or ("-",))] for name in FAMILIES}
    assert {name: len(forms) for name, forms in covering.items()} == dict.fromkeys(FAMILIES, 1)


@pytest.fixture(scope="session")
def citizens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str | None], CitizenProcess]]:
    """The process with the libraries of a site, started when it is asked for, and anew where it has died."""
    running: dict[str | None, CitizenProcess] = {}

    def process(site: str | None) -> CitizenProcess:
        if site not in running or running[site].ended:
            running[site] = CitizenProcess(tmp_path_factory.mktemp("citizens"), site)
        return running[site]

    yield process
    for each in running.values():
        each.close()


FAST = ["bert_kmers", "esm", "ernie_rna", "mutbert", "causal"]  # one of each code path; the others are slow tests


@pytest.mark.parametrize("form", FAST)
def test_a_form_works_or_says_so(form: str, citizens: Callable[..., CitizenProcess], tmp_path: Path) -> None:
    check_cells(citizens(os.environ.get(EXTRA_SITE)).run({form: job_of(form, tmp_path / form)}))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [False, True], ids=["here", "transformers 4.57"])
def test_every_form_works_or_says_so(
    form: str, old: bool, citizens: Callable[..., CitizenProcess], tmp_path: Path
) -> None:
    sites = [os.environ.get(name) for name in ([OLD_SITE] if old else []) + [EXTRA_SITE]]
    if not all(sites):
        pytest.skip(f"{OLD_SITE} or {EXTRA_SITE} names no folder (tests/README.md)")
    found = citizens(os.pathsep.join(map(str, sites))).run({form: job_of(form, tmp_path / form)})
    assert found["versions"]["transformers"].startswith("4.57." if old else "5.")
    check_cells(found)
    missing = [text for text in found["results"][form].values() if text.startswith("skipped: no ")]
    assert set(missing) <= {"skipped: no choice of attention"}
    if os.environ.get(WRITES):
        note(found)


def test_the_page_holds_the_table() -> None:
    assert set(WORDS) == set(CHECKS)
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    wanted = f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}"
    if os.environ.get(WRITES):
        PAGE.write_text(wanted)
    assert text == wanted, f"write the table anew: {WRITES}=1"


PARTS = {  # of the table
    "Classes of transformers": lambda form: not form.own_code and form.kind == "mlm",
    "Classes of transformers, `--kind encoder`": lambda form: form.kind == "encoder",
    "Own code: transformers": lambda form: form.own_code and form.published.architecture == "transformer",
    "Own code: other architectures": lambda form: form.published.architecture != "transformer",
}


def table() -> str:
    """Rows are what users do, columns are families; numbers are notes. What was measured with one version says so."""
    measured = json.loads(MEASURED.read_text())
    results = {
        (form, check, version): result
        for version, found in measured.items()
        for form, about in found.items()
        for check, _, result in (cell.partition(":") for cell in about["results"].split())
    }
    notes: list[str] = []

    def cell(form: str, check: str) -> str:
        found = {version: results[form, check, version] for version in ANY if (form, check, version) in results}
        if not found:
            return "?"
        limits = {version: limit_of(form, check, version) for version, result in found.items() if result == "limit"}
        if not limits:
            tick = "✓" if len(found) == len(ANY) else f"✓ {next(iter(found))}"
            return "-" if "absent" in found.values() else tick
        version, why = next(iter(limits.items()))
        in_both = all(limit_of(form, check, each) for each in ANY)
        text = why if in_both else f"transformers {version}: {why}"
        if text not in notes:
            notes.append(text)
        return f"({notes.index(text) + 1})"

    lines = []
    for part, belongs in PARTS.items():
        forms = {name: form for name, form in FORMS.items() if belongs(form)}
        encoder = all(form.kind == "encoder" for form in forms.values())
        rows = {check: words for check, words in WORDS.items() if check in ENCODER_CHECKS or not encoder}
        lines += [f"| {part} | {' | '.join(form.says for form in forms.values())} |"]
        lines += ["| --- |" + " :-: |" * len(forms)]
        cells = {words: [cell(form, check) for form in forms] for check, words in rows.items()}
        lines += [f"| {words} | {' | '.join(row)} |" for words, row in cells.items() if set(row) != {"-"}]
        lines += [""]
    return "\n".join([*lines, *(f"{number}. {text}." for number, text in enumerate(notes, start=1))])
