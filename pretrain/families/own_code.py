"""The form of every model that no class of transformers computes: code of ours travels with its weights.

One entry per architecture. The config holds the settings under
their own names, so that whatever ``model:`` of a run can say comes back from its export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from pretrain.families.family import CONFIG_FIELDS, Family, HuggingFaceForm
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.models.architecture import architecture_of
from pretrain.models.transformer.settings import RopeScaling

# what may differ from the published settings in a class of transformers: what its config says, and what it never sees
_FREE = (*CONFIG_FIELDS, "mask_token_id", "base_token_ids", "initialization", "zero_pad_row", "mlp", "head_act")
_NATIVE_ACTIVATIONS = ("gelu", "relu")  # under the same name, and the same one in the MLP and in the head
_LAYER = "encoder.layers.{i}."
_SAME = (  # names of ours that the travelling code has too
    "encoder.embeddings.word.weight",
    "encoder.embeddings.position.weight",
    "encoder.embeddings.segment.weight",
    "encoder.embeddings.norm.{wb}",
    "encoder.pairing.hidden.{wb}",
    "encoder.pairing.output.{wb}",
    *(_LAYER + f"attention.{name}.{{wb}}" for name in ("query", "key", "value", "output")),
    _LAYER + "attention_norm.{wb}",
    *(_LAYER + f"mlp.{name}.{{wb}}" for name in ("up", "gate", "down")),
    _LAYER + "mlp.beta",
    _LAYER + "mlp_norm.{wb}",
    "encoder.final_norm.{wb}",
    "mlm_head.dense.{wb}",
    "mlm_head.norm.{wb}",
)


def own_keys(*, tied: bool) -> KeyLayout:
    """Names of a transformer with our code; a tied output matrix may stand in the file a second time."""
    rules = (
        *(KeyRule(name, name) for name in _SAME),
        KeyRule("encoder.pooler.dense.{wb}", "unused.pooler.{wb}", optional=True),
        KeyRule("mlm_head.decoder.bias", "mlm_head.bias"),
    )
    decoder = "mlm_head.decoder.weight"
    if tied:
        return KeyLayout(rules, duplicates={decoder: "encoder.embeddings.word.weight"})
    return KeyLayout((*rules, KeyRule(decoder, decoder)))


OWN_FORMS: dict[str, HuggingFaceForm] = {
    "transformer": HuggingFaceForm(
        kind="remote",
        model_type="polymerase",
        base_class="PolymeraseModel",
        masked_lm_class="PolymeraseForMaskedLM",
        keys=own_keys(tied=True),
    ),
}
# files of exporting/remote_code that travel with each model type
OWN_FILES: dict[str, tuple[str, ...]] = {
    "polymerase": tuple(f"{part}_polymerase.py" for part in ("configuration", "modeling", "layers", "heads")),
}
MODEL_TYPES = {form.model_type: name for name, form in OWN_FORMS.items()}


def form_of(family: Family, settings: Any) -> HuggingFaceForm:
    """The family's own form, or our code where these settings are not what the family's class computes."""
    form = family.hugging_face
    if form.kind == "native" and _computes(family, settings):
        return form
    own = OWN_FORMS[architecture_of(settings).name]
    constants = form.constants if form.kind == "remote" else {}
    return replace(own, keys=own_keys(tied=settings.head_tied), constants=constants)


def _computes(family: Family, settings: Any) -> bool:
    """Whether the family's class of transformers is the model of these settings."""
    if type(settings) is not type(family.settings):
        return False
    free = _FREE + family.hugging_face.extra_fields
    if family.settings.segment_rows and settings.segment_rows:
        free += ("segment_rows",)
    published = replace(family.settings, **{name: getattr(settings, name) for name in free})
    return published == settings and settings.mlp == settings.head_act and settings.mlp in _NATIVE_ACTIVATIONS


def own_config(settings: Any, vocab: tuple[str, ...]) -> dict[str, Any]:
    """The settings as config.json of an export with our code has them."""
    config = asdict(settings)
    config["tie_word_embeddings"] = config.pop("head_tied", True)
    if config.get("pairing_bias"):
        config["pairing_scores"] = pairing_scores(vocab)
    return config


def pairing_scores(vocab: tuple[str, ...]) -> list[tuple[int, int, float]]:
    """Base pairs of a vocabulary as (token id, token id, score); T pairs as U does."""
    from pretrain.models.transformer.recurrent.pairing import PAIR_VALUES, pair_class_table

    classes, size = pair_class_table(vocab), len(vocab)
    pairs = [(i, j, PAIR_VALUES[classes[i]][classes[j]]) for i in range(size) for j in range(i, size)]
    return [pair for pair in pairs if pair[2]]


def settings_of_config(config: Mapping[str, Any], settings: type) -> dict[str, Any]:
    """Fields of a settings class that a config.json with our code holds; re-saved ones may lack what is a default."""
    found = {field.name: config[field.name] for field in fields(settings) if config.get(field.name) is not None}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    if "tie_word_embeddings" in config:
        found["head_tied"] = config["tie_word_embeddings"]
    if isinstance(scaling := found.get("rope_scaling"), Mapping):
        kind = scaling.get("rope_type", scaling.get("type"))
        found["rope_scaling"] = RopeScaling(kind, float(scaling["factor"])) if kind in ("linear", "dynamic") else None
    return found


def family_of_config(family: Family, config: Mapping[str, Any]) -> Family:
    """The family with the settings that a config.json of our code states; itself for any other config."""
    if config.get("model_type") not in MODEL_TYPES:
        return family
    stated = replace(family.settings, **settings_of_config(config, type(family.settings)))
    form = OWN_FORMS[MODEL_TYPES[config["model_type"]]]
    return replace(family, settings=stated, hugging_face=replace(form, keys=own_keys(tied=stated.head_tied)))
