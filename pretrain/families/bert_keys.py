"""``BertForMaskedLM``: its tensor names, as published or exported layout, and its Hugging Face form."""

from dataclasses import replace
from typing import Any

from pretrain.families.family import HuggingFaceForm
from pretrain.families.keys import KeyLayout, KeyRule

_LAYER = "bert.encoder.layer.{i}."

BERT_ENCODER_RULES = (
    KeyRule("bert.embeddings.word_embeddings.weight", "encoder.embeddings.word.weight"),
    KeyRule("bert.embeddings.token_type_embeddings.weight", "encoder.embeddings.segment.weight"),
    KeyRule("bert.embeddings.LayerNorm.{wb}", "encoder.embeddings.norm.{wb}"),
    KeyRule(_LAYER + "attention.self.query.{wb}", "encoder.layers.{i}.attention.query.{wb}"),
    KeyRule(_LAYER + "attention.self.key.{wb}", "encoder.layers.{i}.attention.key.{wb}"),
    KeyRule(_LAYER + "attention.self.value.{wb}", "encoder.layers.{i}.attention.value.{wb}"),
    KeyRule(_LAYER + "attention.output.dense.{wb}", "encoder.layers.{i}.attention.output.{wb}"),
    KeyRule(_LAYER + "attention.output.LayerNorm.{wb}", "encoder.layers.{i}.attention_norm.{wb}"),
    KeyRule(_LAYER + "intermediate.dense.{wb}", "encoder.layers.{i}.mlp.up.{wb}"),
    KeyRule(_LAYER + "output.dense.{wb}", "encoder.layers.{i}.mlp.down.{wb}"),
    KeyRule(_LAYER + "output.LayerNorm.{wb}", "encoder.layers.{i}.mlp_norm.{wb}"),
)
BERT_POSITIONS = KeyRule("bert.embeddings.position_embeddings.weight", "encoder.embeddings.position.weight")
BERT_POOLER = KeyRule("bert.pooler.dense.{wb}", "unused.pooler.{wb}", optional=True)
BERT_DUPLICATES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
BERT_IGNORABLE = ("bert.embeddings.position_ids",)


def bert_pooler(settings: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the pooler that BERT's files hold and no objective trains."""
    width = settings.hidden_size
    return {"pooler.weight": (width, width), "pooler.bias": (width,)}


def bert_head_rules(bias_transform: str = "same") -> tuple[KeyRule, ...]:
    """Return the rules of the MLM head; ``bias_transform`` is for releases that add the output bias twice."""
    return (
        KeyRule("cls.predictions.transform.dense.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("cls.predictions.transform.LayerNorm.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("cls.predictions.bias", "mlm_head.bias", transform=bias_transform),
    )


def under_another_name(layout: KeyLayout, model: str) -> KeyLayout:
    """Return the layout of a class of transformers that copies BERT's and renames its base model."""

    def renamed(key: str) -> str:
        return key.replace("bert.", f"{model}.", 1) if key.startswith("bert.") else key

    return KeyLayout(
        rules=tuple(replace(rule, theirs=renamed(rule.theirs)) for rule in layout.rules),
        duplicates={renamed(copy): renamed(first) for copy, first in layout.duplicates.items()},
        ignorable=tuple(map(renamed, layout.ignorable)),
    )


BERT_KEYS = KeyLayout(
    rules=(*BERT_ENCODER_RULES, BERT_POSITIONS, BERT_POOLER, *bert_head_rules()),
    duplicates=BERT_DUPLICATES,
    ignorable=BERT_IGNORABLE,
)
BERT_FORM = HuggingFaceForm(
    kind="native",
    model_type="bert",
    base_class="BertModel",
    masked_lm_class="BertForMaskedLM",
    keys=BERT_KEYS,
    constants={"tie_word_embeddings": True},
)
