"""The usage sections of the published model cards, and those of our own cards, run on the exports as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.exporting.usage import usage_blocks
from pretrain.families import FAMILIES

TRUSTED = ["ernie", "mutbert", "rnaernie", "utr_lm", "utrbert", "utrbert_encoder"]


@pytest.mark.parametrize("name", TRUSTED)
def test_every_block_of_our_card_runs(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: Path = request.getfixturevalue(name)
    monkeypatch.chdir(folder.parent)
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= (1 if name == "utrbert_encoder" else 2)
    for block in blocks:
        exec(compile(block, f"{name}/README.md", "exec"), {})


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_published_ernie_rna_card_runs(ernie: Path) -> None:
    embedding = run(f"""
import torch
from transformers import AutoTokenizer, AutoModel

tokenizer = AutoTokenizer.from_pretrained("{ernie}", trust_remote_code=True)
model = AutoModel.from_pretrained("{ernie}", trust_remote_code=True)
model.eval()

sequences = ["AUGCAUGCAUGC", "GGGGCCCCGGGG"]
enc = tokenizer(sequences, return_tensors="pt", padding=True)

with torch.no_grad():
    out = model(**enc)

cls_emb   = out.last_hidden_state[:, 0, :]
token_emb = out.last_hidden_state

out_all = model(**enc, output_hidden_states=True)
layer_emb = out_all.hidden_states[2]
""")
    assert embedding["cls_emb"].shape == (2, 32)
    assert embedding["token_emb"].shape == (2, 14, 32)
    assert len(embedding["out_all"].hidden_states) == 4
    assert embedding["enc"]["input_ids"][0, :5].tolist() == [0, 5, 6, 4, 7]
    masked = run(f"""
import torch
from transformers import AutoTokenizer, AutoModelForMaskedLM

tokenizer = AutoTokenizer.from_pretrained("{ernie}", trust_remote_code=True)
model = AutoModelForMaskedLM.from_pretrained("{ernie}", trust_remote_code=True)
model.eval()

enc = tokenizer(["AUG<mask>AUG"], return_tensors="pt")
with torch.no_grad():
    logits = model(**enc).logits
""")
    assert masked["enc"]["input_ids"].tolist() == [[0, 5, 6, 4, 24, 5, 6, 4, 2]]
    assert masked["logits"].shape == (1, 9, 25)
    sdpa = run(f"""
from transformers import AutoModel

model = AutoModel.from_pretrained(
    "{ernie}",
    trust_remote_code=True,
    attn_implementation="sdpa",
)
""")["model"]
    with torch.no_grad():
        again = sdpa.eval()(**embedding["enc"]).last_hidden_state
    torch.testing.assert_close(again, embedding["token_emb"], atol=1e-5, rtol=0)


def test_the_published_mutbert_readme_runs(mutbert: Path) -> None:
    """Section 4.1 to 4.3; the undefined name ``hidden_states`` of 4.2 is read as ``last_hidden_state``."""
    names = run(f"""
import torch
import torch.nn.functional as F

from transformers import AutoTokenizer, AutoModel, AutoModelForSequenceClassification

model_name = "{mutbert}"
tokenizer = AutoTokenizer.from_pretrained(model_name)
model = AutoModel.from_pretrained(model_name, trust_remote_code=True)
cls_model = AutoModelForSequenceClassification.from_pretrained(model_name, trust_remote_code=True, num_labels=2)

dna = "ATCGGGGCCCATTA"
inputs = tokenizer(dna, return_tensors='pt')["input_ids"]

mut_inputs = F.one_hot(inputs, num_classes=len(tokenizer)).float().to("cpu")
model.eval()
last_hidden_state = model(inputs).last_hidden_state
from_rows = model(mut_inputs)[0]

embedding_mean = torch.mean(last_hidden_state[0], dim=0)
hidden_states = last_hidden_state
embedding_max = torch.max(hidden_states[0], dim=0)[0]

scaled = AutoModel.from_pretrained(model_name,
                                  trust_remote_code=True,
                                  rope_scaling={{'type': 'dynamic','factor': 2.0}}
                                  )
logits = cls_model(inputs).logits
""")
    assert names["last_hidden_state"].shape == (1, 16, 32)
    torch.testing.assert_close(names["from_rows"], names["last_hidden_state"], atol=1e-4, rtol=0)
    assert names["embedding_mean"].shape == names["embedding_max"].shape == (32,)
    assert names["scaled"](names["inputs"].repeat(1, 9)).last_hidden_state.shape == (1, 144, 32)
    assert names["logits"].shape == (1, 2)


@pytest.mark.parametrize("kind", ["utrbert", "utrbert_encoder"])
def test_the_published_utrbert_card_runs(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    names = run(f"""
import torch
from transformers import AutoTokenizer, AutoModel

tokenizer = AutoTokenizer.from_pretrained("{folder}", trust_remote_code=True)
model = AutoModel.from_pretrained("{folder}")
model.eval()

sequences = ["AUGCAUGCAUGCAUGCAUGC", "GCGCGCGCGCGCGCGCGCGC"]
enc = tokenizer(sequences, return_tensors="pt", padding=True, truncation=True, max_length=512)

with torch.no_grad():
    out = model(**enc)

cls_emb   = out.last_hidden_state[:, 0, :]
token_emb = out.last_hidden_state

out_all = model(**enc, output_hidden_states=True)

from transformers import BertForSequenceClassification

classifier = BertForSequenceClassification.from_pretrained(
    "{folder}",
    num_labels=2,
)
""")
    assert names["cls_emb"].shape == (2, 24)
    assert names["token_emb"].shape == (2, 19, 24)  # 17 4-mers, [CLS], [SEP]
    assert len(names["out_all"].hidden_states) == 3
    assert names["classifier"](**names["enc"]).logits.shape == (2, 2)


def test_a_k_mer_tokenizer_without_trust_fails_instead_of_reading_unknowns(utrbert: Path) -> None:
    from transformers import AutoTokenizer

    with pytest.raises((ValueError, OSError)):
        AutoTokenizer.from_pretrained(utrbert, trust_remote_code=False)


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("helm_clm", "# keys and values are kept"),
        ("hyenadna_tiny_1k", "# every new token reads the whole sequence again: no cache"),
        ("evo1_8k", "# every new token reads the whole sequence again: no cache"),
    ],
)
def test_the_card_of_a_causal_model_says_what_a_new_token_costs(name: str, cost: str) -> None:
    family = FAMILIES[name]
    remote = (False, family.hugging_face.kind == "remote")
    (code,) = [
        code for _, code in usage_blocks("m", family, family.settings, "mlm", remote, family.build_tokenizer())
        if "generate" in code
    ]  # fmt: skip
    assert cost in code
