"""Tiny exports of every form there is: each family's class, letters, k-mers, codons, byte pairs, and switches no family
has. Weights are random; nothing is verified here, because the tests that use them do."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pretrain.exporting import CardFacts, export_model
from pretrain.exporting.form import Kind
from pretrain.exporting.verify import Probe, Verification, our_output
from pretrain.families import FAMILIES, Family
from pretrain.families.custom import with_tokenizer
from pretrain.families.published import published_model
from pretrain.models import architecture_of
from tests.families.tiny import tiny

BYTE_PAIRS = str(Path(__file__).parents[1] / "golden" / "tokenizers" / "bpe_tiny.json")

# without an output head there is none to train, resize or fill masks with
ENCODER_CHECKS = [
    "same_logits", "auto_classes", "inputs_embeds", "lora_sequence", "lora_tokens", "lora_features", "tuples",
    "padded_right", "padded_left", "half", "compiled", "exported_program", "traced", "onnx", "saved_again",
    "sentence_transformers",
]  # fmt: skip


@dataclass(frozen=True)
class Form:
    """family, and what is changed besides the sizes. says: what the table calls it; covers: how the names of the
    families begin that differ from this one in sizes alone; own_code: our code travels with it."""

    family: str
    says: str
    covers: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    kind: Kind = "mlm"
    own_code: bool = True

    @property
    def settings(self) -> Any:
        small = tiny(self.published, inner=48)
        own = {each.name for each in fields(small)}
        if "position_embedding_type" in own:
            small = replace(small, max_position_embeddings=64)
        return replace(small, **self.changes)

    @property
    def published(self) -> Family:
        family = FAMILIES[self.family]
        return with_tokenizer(family, "bpe", {"file": BYTE_PAIRS}) if family.tokenizer == "bpe" else family


def _native(family: str, says: str, *covers: str, kind: Kind = "mlm") -> Form:
    return Form(family, says, covers, kind=kind, own_code=False)


MODERN = {
    "position_embedding_type": "rotary",
    "norm": "rms",
    "norm_placement": "pre",
    "mlp": "swiglu",
    "segment_rows": 0,
}
SLOPED = {"position_embedding_type": "alibi", "mlp": "geglu", "head_tied": False, "attention_bias": False}
FORMS = {
    "bert": _native("rnaernie", "RNAErnie, RNAErnie2", "rnaernie"),
    "bert_kmers": _native("utrbert_3mer", "3UTRBERT, DNABERT", "utrbert_", "dnabert_"),
    "bert_pairs": _native("methylbert", "MethylBERT", "methylbert"),
    "esm": _native("utr_lm", "UTR-LM", "utr_lm"),
    "esm_blocks": _native("nt_v1_500m", "Nucleotide Transformer v1", "nt_v1_"),
    "gpt2": _native("helm_clm", "HELM, causal", "helm_clm"),
    "bert_encoder": _native("rnaernie2", "BERT", kind="encoder"),
    "esm_encoder": _native("utr_lm", "ESM", kind="encoder"),
    "gpt2_encoder": _native("helm_clm", "GPT-2", kind="encoder"),
    "ernie_rna": Form("ernie_rna", "ERNIE-RNA", ("ernie_rna",)),
    "mutbert": Form("mutbert", "MutBERT", ("mutbert",)),
    "rinalmo": Form("rinalmo_nano", "RiNALMo", ("rinalmo_",)),
    "nt_v2": Form("nt_v2_50m", "Nucleotide Transformer v2", ("nt_v2_",)),
    "dnabert2": Form("dnabert2", "DNABERT-2", ("dnabert2",)),
    "helm_mlm": Form("helm_mlm", "HELM, masked", ("helm_mlm",)),
    "gpn": Form("gpn_convnet", "GPN", ("gpn_convnet",)),
    "gpn_legacy": Form("gpn_brassicales", "GPN, brassicales", ("gpn_brassicales",)),
    "gpn_bytenet": Form("gpn_promoter", "GPN-Promoter", ("gpn_promoter",)),
    "hyena": Form("hyenadna_tiny_1k", "HyenaDNA", ("hyenadna_",)),
    "striped_hyena": Form("evo1_8k", "Evo", ("evo1_",)),
    "modern": Form("ernie_rna", "switches of one's own", (), MODERN | {"pairing_bias": False, "final_norm": True}),
    "sloped": Form("rnaernie2", "ALiBi, gated, untied", (), SLOPED),
    "causal": Form("rnaernie2", "causal", (), MODERN | {"causal": True}),
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
            parameter.add_((0.2 if family.architecture == "transformer" else 0.05) * torch.randn_like(parameter))
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
