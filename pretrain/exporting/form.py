"""The classes that an export is for, and its config.json."""

from __future__ import annotations

from typing import Any, Literal

from pretrain.families import Family, HuggingFaceForm
from pretrain.families.own_code import form_of, own_config
from pretrain.importing.source import FAMILY_KEY, TOKENIZER_KEY
from pretrain.models import ModelSettings, architecture_of

Kind = Literal["mlm", "encoder"]


def class_of(form: HuggingFaceForm, settings: ModelSettings, kind: Kind) -> tuple[str, str]:
    """Return the class of a form and the Auto class that loads it."""
    if kind == "encoder":
        return form.base_class, "AutoModel"
    if architecture_of(settings).is_causal(settings):
        return form.masked_lm_class.replace("ForMaskedLM", "ForCausalLM"), "AutoModelForCausalLM"
    return form.masked_lm_class, "AutoModelForMaskedLM"


def config_json(
    family: Family, settings: ModelSettings, class_name: str, vocab: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Build config.json: the class's settings, the place of its code, and its family.

    Args:
        family: of the model.
        settings: of the model.
        class_name: class that the folder is for.
        vocab: token of each id, for models that pair them; that of the family's tokenizer by default.
    """
    form = form_of(family, settings)
    ours = {FAMILY_KEY: family.name, TOKENIZER_KEY: family.tokenizer}
    common = {"architectures": [class_name], "dtype": "float32", **ours}
    if form.kind == "native":
        return form.config(settings) | common
    stem, head = form.base_class.removesuffix("Model"), class_of(form, settings, "mlm")[0]
    auto_map = {
        "AutoConfig": f"configuration_{form.model_type}.{stem}Config",
        "AutoModel": f"modeling_{form.model_type}.{form.base_class}",
        f"AutoModelFor{head.partition('For')[2]}": f"modeling_{form.model_type}.{head}",
        "AutoModelForSequenceClassification": f"modeling_{form.model_type}.{stem}ForSequenceClassification",
        "AutoModelForTokenClassification": f"modeling_{form.model_type}.{stem}ForTokenClassification",
    }
    own = {
        "model_type": form.model_type,
        **own_config(settings, lambda: family.build_tokenizer().vocab if vocab is None else vocab),
        **form.constants,
    }
    return own | common | {"auto_map": auto_map}
