"""One small recipe per family, with its published optimizer, reduction and objectives. Dropout is 0."""

from typing import Any

STEPS = 30
_COMMON: dict[str, Any] = {
    "train__steps": STEPS,
    "batch": {"tokens": 200, "accumulation": 2},
    "model__hidden_dropout_prob": 0.0,
    "model__attention_probs_dropout_prob": 0.0,
    "schedule": {"name": "linear", "warmup_steps": 6},
}
_ADAMW = {"name": "adamw", "lr": 1e-3, "weight_decay": 0.1, "eps": 1e-6}

RECIPES: dict[str, dict[str, Any]] = {  # family -> corpus and changes
    "ernie_rna": {
        "optimizer": {"name": "adamw_fairseq", "lr": 1e-3, "betas": [0.9, 0.98], "eps": 1e-6, "decay": "all"},
        "objectives__reduction": "sequence_weighted",
    },
    "rnaernie": {
        "corpus": "labeled",
        "optimizer": _ADAMW,
        "masking": {"strategy": "mixture", "parts": [{"strategy": "base"}, {"strategy": "span"}]},
        "objectives": {"mlm": {}, "rna_type": {"weight": 0.5}},
    },
    "rnaernie2": {"optimizer": _ADAMW, "masking": {"strategy": "base", "count": "bernoulli"}},
    "utrbert_3mer": {
        "optimizer": {**_ADAMW, "max_grad_norm": 0.0},
        "masking": {"strategy": "kmer"},
        "objectives__reduction": "micro_batch_mean",
    },
    "dnabert_4mer": {"optimizer": {**_ADAMW, "name": "adam"}, "masking": {"strategy": "kmer"}},
    "utr_lm": {
        "corpus": "labeled",
        "optimizer": {"name": "sgd", "momentum": 0.9, "lr": 1e-3, "weight_decay": 1e-4, "decay": "all"},
        "masking": {"strategy": "base", "count": "ceil"},
        "objectives": {"mlm": {}, "structure": {"weight": 2.0}, "mfe": {"weight": 0.5}},
    },
    "mutbert": {
        "corpus": "alleles",
        "corpus__window": 40,
        "optimizer": _ADAMW,
        "masking": {"strategy": "variant_first"},
        "objectives": {"soft_label": {}, "mlm": None, "reduction": "micro_batch_mean"},
    },
}


def changes(family: str) -> dict[str, Any]:
    """Keyword arguments of :func:`tests.training.corpora.tree`, ``corpus`` among them."""
    return {"corpus": "plain", "model__family": family, **_COMMON, **RECIPES[family]}
