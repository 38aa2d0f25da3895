"""The form of every model without a class in transformers: our code travels with its weights.

There is one entry per architecture. The config holds the settings under their own names, so that whatever ``model:`` of
a run can say comes back from its export.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pretrain.errors import PolymeraseError
from pretrain.families.family import CONFIG_FIELDS, Family, HuggingFaceForm
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.models.architecture import ARCHITECTURES, architecture_of
from pretrain.models.transformer.settings import RopeScaling

# what may differ from the published settings in a class of transformers: what its config says, and what it never sees
_FREE = (*CONFIG_FIELDS, "mask_token_id", "base_token_ids", "initialization", "zero_pad_row")
_ACTIVATIONS = ("mlp", "head_act")  # of classes whose config says them
_NATIVE_ACTIVATIONS = ("gelu", "relu")  # under the same name, and the same one in the MLP and in the head
_DECODER = "mlm_head.decoder.weight"  # the output matrix, a parameter of its own where it is not tied
_LAYER = "encoder.layers.{i}."
_TRANSFORMER_NAMES = (
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
)
_CONVNET_NAMES = (
    "encoder.embeddings.word.weight",
    *(
        _LAYER + f"{name}.{{wb}}"
        for name in ("norm", "down", "conv", "conv_norm", "conv_output", "output_norm", "up", "mlp", "mlp_norm")
    ),
    *(_LAYER + f"mlp.{name}.{{wb}}" for name in ("up", "down")),
    "encoder.final_norm.{wb}",
)
_HYENA_NAMES = (
    "encoder.embeddings.word.weight",
    *(_LAYER + f"mixer.{name}.{{wb}}" for name in ("input", "short", "output")),
    *(_LAYER + f"mixer.filter.{name}.{{wb}}" for name in ("input", "hidden.0", "hidden.1", "output")),
    _LAYER + "mixer.filter.frequency",
    _LAYER + "mixer.skip",
    *(_LAYER + f"{name}.{{wb}}" for name in ("mixer_norm", "mlp_norm", "mlp.up", "mlp.down")),
    "encoder.final_norm.{wb}",
)
_STRIPED_HYENA_NAMES = (
    "encoder.embeddings.word.weight",
    *(_LAYER + f"mixer.{name}.{{wb}}" for name in ("input", "short", "output", "qkv")),
    *(_LAYER + f"mixer.{name}" for name in ("filter.poles", "filter.residues", "skip")),
    *(_LAYER + f"{name}.scale" for name in ("mixer_norm", "mlp_norm")),
    *(_LAYER + f"mlp.{name}.weight" for name in ("gate", "up", "down")),
    "encoder.final_norm.scale",
)


def own_form(model_type: str, stem: str, names: tuple[str, ...], *, causal: bool = False) -> HuggingFaceForm:
    """Build the form of our code for one architecture. Its classes are called ``stem`` + Model, ForMaskedLM and so on.

    Args:
        model_type: of its config.json.
        stem: of its class names.
        names: of the backbone's tensors, the same in the traveling code.
        causal: whether there is a ForCausalLM only; else a causal model's class is called so, if there are both.
    """
    rules = (
        *(KeyRule(name, name) for name in (*names, "mlm_head.dense.{wb}", "mlm_head.norm.{wb}")),
        KeyRule("encoder.pooler.dense.{wb}", "unused.pooler.{wb}", optional=True),
        KeyRule("mlm_head.decoder.bias", "mlm_head.bias"),
    )
    keys = KeyLayout(rules, duplicates={_DECODER: "encoder.embeddings.word.weight"})
    head = "ForCausalLM" if causal else "ForMaskedLM"
    return HuggingFaceForm("remote", model_type, f"{stem}Model", f"{stem}{head}", keys)


OWN_FORMS: dict[str, HuggingFaceForm] = {
    "transformer": own_form("polymerase", "Polymerase", _TRANSFORMER_NAMES),
    "convnet": own_form("polymerase_convnet", "PolymeraseConvNet", _CONVNET_NAMES),
    "hyena": own_form("polymerase_hyena", "PolymeraseHyena", _HYENA_NAMES, causal=True),
    "striped_hyena": own_form("polymerase_striped_hyena", "PolymeraseStripedHyena", _STRIPED_HYENA_NAMES, causal=True),
}
# files of exporting/remote_code that travel with each model type
OWN_FILES: dict[str, tuple[str, ...]] = {
    "polymerase": tuple(f"{part}_polymerase.py" for part in ("configuration", "modeling", "layers", "heads")),
    **{
        f"polymerase_{name}": (
            f"configuration_polymerase_{name}.py",
            f"modeling_polymerase_{name}.py",
            *(f"{part}_polymerase.py" for part in parts),
        )
        for name, parts in {
            "convnet": ("stack", "heads"),
            "hyena": ("stack", "heads"),
            "striped_hyena": ("stack", "layers", "heads"),
        }.items()
    },
}
MODEL_TYPES = {form.model_type: name for name, form in OWN_FORMS.items()}


def form_of(family: Family, settings: Any) -> HuggingFaceForm:
    """Return the family's own form, or our code if these settings are not what the family's class computes."""
    form = family.hugging_face
    if form.kind == "native" and _computes(family, settings):
        return form
    constants = form.constants if form.kind == "remote" else {}
    return replace(_own_form_of(settings), constants=constants)


def _own_form_of(settings: Any) -> HuggingFaceForm:
    architecture = architecture_of(settings)
    form = OWN_FORMS[architecture.name]
    return form if architecture.head(settings).tied else untied(form)


def untied(form: HuggingFaceForm) -> HuggingFaceForm:
    """Return the form of models whose output matrix is a tensor of its own."""
    return replace(form, keys=KeyLayout((*form.keys.rules, KeyRule(_DECODER, _DECODER))))


def _computes(family: Family, settings: Any) -> bool:
    """Whether the family's class of transformers is the model of these settings."""
    if type(settings) is not type(family.settings):
        return False
    free = _FREE + family.hugging_face.extra_fields
    one_activation = "hidden_act" in family.hugging_face.names  # of MLP and head alike, and free
    if one_activation:
        free += _ACTIVATIONS
    if family.settings.segment_rows and settings.segment_rows:
        free += ("segment_rows",)
    published = replace(family.settings, **{name: getattr(settings, name) for name in free})
    if published != settings:
        return False
    return not one_activation or (settings.mlp == settings.head_act and settings.mlp in _NATIVE_ACTIVATIONS)


def own_config(settings: Any, vocab: Callable[[], tuple[str, ...]]) -> dict[str, Any]:
    """Return the settings as config.json of an export with our code; models that pair tokens ask for ``vocab``."""
    config = asdict(settings) | {"tie_word_embeddings": architecture_of(settings).head(settings).tied}
    config.pop("head_tied", None)
    if config.get("pairing_bias"):
        config["pairing_scores"] = pairing_scores(vocab())
    return config


def pairing_scores(vocab: tuple[str, ...]) -> list[tuple[int, int, float]]:
    """Return the base pairs of a vocabulary as (token id, token id, score); T pairs as U does."""
    from pretrain.models.transformer.recurrent.pairing import PAIR_VALUES, pair_class_table

    classes, size = pair_class_table(vocab), len(vocab)
    pairs = [(i, j, PAIR_VALUES[classes[i]][classes[j]]) for i in range(size) for j in range(i, size)]
    return [pair for pair in pairs if pair[2]]


def settings_of_config(config: Mapping[str, Any], settings: type) -> dict[str, Any]:
    """Return the settings in a config.json with our code; files that were saved again may lack default values."""
    stated = dict(config)
    if "tie_word_embeddings" in config:
        stated["head_tied"] = config["tie_word_embeddings"]
    found = {field.name: stated[field.name] for field in fields(settings) if stated.get(field.name) is not None}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    for name, hint in get_type_hints(settings).items():
        if name in found and not _fits(found[name], hint):
            raise PolymeraseError(f"config.json: {name}: expected {_said(hint)}, got {found[name]!r}")
    if isinstance(scaling := found.get("rope_scaling"), Mapping):
        kind = scaling.get("rope_type", scaling.get("type"))
        found["rope_scaling"] = RopeScaling(kind, float(scaling["factor"])) if kind in ("linear", "dynamic") else None
    return found


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config may stand for a field with this type; any may for the others."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    return hint not in (int, float, bool) or type(value) in ((int, float) if hint is float else (hint,))


def _said(hint: Any) -> str:
    return f"one of {', '.join(map(repr, get_args(hint)))}" if get_origin(hint) is Literal else hint.__name__


def family_of_config(family: Family, config: Mapping[str, Any]) -> Family:
    """Return the family with the settings that a config.json of our code states; itself for any other config."""
    architecture = ARCHITECTURES.get(MODEL_TYPES.get(str(config.get("model_type")), ""))
    if architecture is None:
        return family
    try:
        found = settings_of_config(config, architecture.settings)
        same = type(family.settings) is architecture.settings
        stated = replace(family.settings, **found) if same else architecture.settings(**found)
    except (TypeError, ValueError, KeyError) as why:
        raise PolymeraseError(f"config.json: settings that make no {architecture.name} ({why})") from None
    return replace(family, settings=stated, hugging_face=_own_form_of(stated))
