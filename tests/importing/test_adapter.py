"""A PEFT folder is a source like any other: merged, it gives what PEFT's own model gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from pretrain.cli.export import main
from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import TrainedModel, load_model
from pretrain.evaluation.passes import pack
from pretrain.importing import load_pretrained_state
from tests.exporting.forms import job_of

peft = pytest.importorskip("peft")


def adapter_of(job: dict[str, Any], folder: Path, task: str, **options: Any) -> Any:
    """PEFT's model over an export, with random matrices, saved into ``folder``."""
    auto = getattr(transformers, f"AutoModel{task}")
    labels = {"num_labels": 3} if "Classification" in task else {}
    base = auto.from_pretrained(job["folder"], trust_remote_code=True, **labels)
    torch.manual_seed(1)
    settings = peft.LoraConfig(r=3, lora_alpha=5, init_lora_weights=False, **options)
    model = peft.get_peft_model(base, settings).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("form", "task", "options"),
    [
        ("bert", "ForMaskedLM", {"target_modules": "all-linear"}),
        ("esm", "", {"target_modules": ["query", "value"], "task_type": "FEATURE_EXTRACTION"}),
        ("ernie_rna", "ForSequenceClassification", {"target_modules": "all-linear", "task_type": "SEQ_CLS"}),
        ("mutbert", "", {"target_modules": "all-linear", "use_rslora": True, "bias": "all"}),
        ("gpt2", "ForCausalLM", {"target_modules": "all-linear"}),
        ("bert_kmers", "", {"target_modules": ["word_embeddings", "key"]}),
        ("bert", "", {"target_modules": ["query"], "alpha_pattern": {"layer.0.attention.self.query": 40, "query": 2}}),
    ],
)
def test_a_merged_adapter_gives_what_peft_gives(form: str, task: str, options: dict[str, Any], tmp_path: Path) -> None:
    job = job_of(form, tmp_path / "base")
    wrapped = adapter_of(job, tmp_path / "adapter", task, **options)
    ours = load_model(str(tmp_path / "adapter"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["folder"], trust_remote_code=True)
    batch = tokenizer(job["text"], return_tensors="pt")
    with torch.no_grad():
        expected = wrapped(**batch, output_hidden_states=True).hidden_states[-1][0]
        found = hidden_states(ours, batch["input_ids"][0])
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-4)
    plain = hidden_states(load_model(job["folder"]), batch["input_ids"][0])
    assert not torch.allclose(found, plain, atol=1e-2)


def hidden_states(model: TrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Of the last layer (T, D), special tokens included."""
    with torch.no_grad():
        return model.network.encoder(pack(model, ids.numpy(), [len(ids)])).hidden


def changed_config(folder: Path, **changes: Any) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    adapter_of(job_of("bert", folder / "base"), folder / "adapter", "ForMaskedLM", target_modules=["query"])
    return folder / "adapter"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "peft_type: expected LORA, got 'PROMPT_TUNING'"),
        ({"use_dora": True}, "use_dora: expected false, got True"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: expected a start that leaves the base as it is"),
        ({"lora_alpha": "__import__('os')"}, "lora_alpha: expected a number"),
        ({"alpha_pattern": {r".*layer\.0\..*": 64}}, "alpha_pattern: expected names, not expressions"),
        ({"alora_invocation_tokens": [3, 4]}, "alora_invocation_tokens: expected nothing, for this is not merged here"),
        ({"kasa_config": {"beta": 1}}, "kasa_config: expected nothing"),
        ({"a_key_of_tomorrow": 1}, "a_key_of_tomorrow: expected nothing"),
        ({"base_model_name_or_path": "who/knows"}, "expected the folder of the base model, got 'who/knows'"),
    ],
)
def test_what_cannot_be_merged_is_one_line(adapter: Path, changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = changed_config(Path(shutil.copytree(adapter, tmp_path / "copy")), **changes)
    with pytest.raises(PolymeraseError) as refused:
        load_pretrained_state(folder)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_adapter_of_another_base_is_one_line(adapter: Path, tmp_path: Path) -> None:
    other = job_of("esm_blocks", tmp_path / "other")["folder"]
    folder = changed_config(Path(shutil.copytree(adapter, tmp_path / "copy")), base_model_name_or_path=other)
    with pytest.raises(PolymeraseError, match="is this its base model"):
        load_pretrained_state(folder)


def test_an_adapter_is_exported_with_its_base(adapter: Path, tmp_path: Path) -> None:
    assert main([str(adapter), "--out", str(tmp_path / "whole")]) == 0
    _, settings, state = load_pretrained_state(adapter)
    _, same, again = load_pretrained_state(tmp_path / "whole")
    assert settings == same
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items() if not name.startswith("unused."))
    assert "with the LoRA adapter adapter merged in" in (tmp_path / "whole" / "README.md").read_text()
    assert main([str(adapter), "--step", "3", "--out", str(tmp_path / "no")]) == 2
