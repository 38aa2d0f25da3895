"""Tiny exports of every form there is: classes of transformers and our own code, letters and k-mers, with and without
output head. Weights are random; nothing is verified here, because the tests that use them do."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.exporting import CardFacts, export_model
from pretrain.exporting.form import Kind
from pretrain.exporting.verify import Probe, Verification, our_output
from pretrain.families import FAMILIES, Family
from pretrain.families.choice import custom_family
from pretrain.families.published import published_model
from pretrain.models import architecture_of
from tests.models import test_evo1_golden, test_gpn_golden, test_hyenadna_golden

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}


# without an output head there is none to train, resize or fill masks with
ENCODER_CHECKS = [
    "same_logits", "auto_classes", "inputs_embeds", "lora_sequence", "lora_tokens", "lora_features", "tuples",
    "padded_right", "padded_left", "half", "compiled", "exported_program", "traced", "onnx", "saved_again",
    "sentence_transformers",
]  # fmt: skip


@dataclass(frozen=True)
class Form:
    """family, and what is changed besides the sizes; says: what the table calls it. stands_alone: settings of a model
    without a family, whose tokenizer ``family`` then names."""

    family: str
    says: str
    changes: dict[str, Any] = field(default_factory=dict)
    kind: Kind = "mlm"
    stands_alone: Any = None

    @property
    def settings(self) -> Any:
        return self.stands_alone or replace(FAMILIES[self.family].settings, **SMALL, **self.changes)

    @property
    def published(self) -> Family:
        return custom_family(self.stands_alone, self.family, {}) if self.stands_alone else FAMILIES[self.family]


MODERN = {
    "position_embedding_type": "rotary",
    "norm": "rms",
    "norm_placement": "pre",
    "mlp": "swiglu",
    "segment_rows": 0,
}
SLOPED = {"position_embedding_type": "alibi", "mlp": "geglu", "head_tied": False, "attention_bias": False}
FORMS = {
    "bert": Form("rnaernie", "BERT of transformers (RNAErnie, RNAErnie2)"),
    "bert_kmers": Form("utrbert_3mer", "BERT of transformers over k-mers (3UTRBERT, DNABERT)"),
    "esm": Form("utr_lm", "ESM of transformers (UTR-LM)"),
    "bert_encoder": Form("rnaernie2", "BERT of transformers, `--kind encoder`", kind="encoder"),
    "ernie_rna": Form("ernie_rna", "own code, pairing bias (ERNIE-RNA)"),
    "mutbert": Form("mutbert", "own code, rows of probabilities, mean pooler (MutBERT)"),
    "modern": Form("ernie_rna", "own code, other switches", MODERN | {"pairing_bias": False, "final_norm": True}),
    "sloped": Form("rnaernie2", "own code, ALiBi, gated, untied", SLOPED),
    "causal": Form("rnaernie2", "own code, causal", MODERN | {"causal": True}),
    "convnet": Form("gpn", "own code, convolutions (GPN)", stands_alone=test_gpn_golden.SETTINGS["gpn_convnet"]),
    "hyena": Form("hyenadna", "own code, Hyena (HyenaDNA)", stands_alone=test_hyenadna_golden.SETTINGS),
    "striped_hyena": Form("bytes", "own code, StripedHyena (Evo)", stands_alone=test_evo1_golden.SETTINGS),
}


def text_of(form: Form) -> str:
    """27 nucleotides in the letters of the form's vocabulary."""
    rna = (
        any("U" in token for token in form.published.build_tokenizer().vocab if len(token) == 1)
        and "T" not in form.published.build_tokenizer().vocab
    )
    return "AUGCAUGGCCAUGCAUGCAAUGCAUGC" if rna else "ATGCATGGCCATGCATGCAATGCATGC"


def job_of(name: str, folder: Path, checks: list[str] | None = None) -> dict[str, Any]:
    """Export a form into a new folder; the job of ``citizen.py`` for it."""
    form = FORMS[name]
    family, settings, text = form.published, form.settings, text_of(form)
    torch.manual_seed(0)
    model = published_model(settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((0.05 if form.stands_alone else 0.2) * torch.randn_like(parameter))
    state = model.state_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["pretrain.exporting.export_model"], "verify", lambda *_: Verification(0.0, 1.0, 1.0))
        export_model(state, family, settings, folder, CardFacts("Random weights."), form.kind)
    tokenizer = family.build_tokenizer()
    ids = tokenizer.encode_text(text)
    logits = our_output(settings, state, tokenizer, Probe([text], [ids], []), form.kind)[0]
    return {
        "folder": str(folder),
        "text": text,
        "causal": architecture_of(settings).is_causal(settings),
        "encoder": form.kind == "encoder",
        "expected": {"ids": ids.tolist(), "logits": logits.tolist()},
        "checks": checks or (ENCODER_CHECKS if form.kind == "encoder" else None),
    }
