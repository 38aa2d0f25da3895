"""What a published model is, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from pretrain.families.keys import KeyLayout
from pretrain.models.architecture import architecture_of
from pretrain.models.transformer.settings import RopeScaling

if TYPE_CHECKING:
    from pretrain.tokenizers import Tokenizer

# encoder settings that transformers configs hold under the same name
CONFIG_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "layer_norm_eps",
    "initializer_range",
    "pad_token_id",
)


VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")  # what says which id is which token; the first one found counts


@dataclass(frozen=True)
class HuggingFaceForm:
    """How the model looks as a Hugging Face folder.

    native: a class of transformers, no code in the folder. remote: our own code travels with the weights.
    constants: config keys that settings do not determine. extra_fields: settings that only this model's config has.
    """

    kind: Literal["native", "remote"]
    model_type: str
    base_class: str
    masked_lm_class: str
    keys: KeyLayout
    constants: dict[str, Any] = field(default_factory=dict)
    extra_fields: tuple[str, ...] = ()

    def config(self, settings: Any) -> dict[str, Any]:
        """config.json of these settings."""
        fields = {name: getattr(settings, name) for name in CONFIG_FIELDS + self.extra_fields}
        config = {"model_type": self.model_type, **fields, "hidden_act": settings.mlp, **self.constants}
        if settings.segment_rows:
            config["type_vocab_size"] = settings.segment_rows
        return config


@dataclass(frozen=True)
class Family:
    """A published model.

    settings: encoder of the published size. tokenizer: name in ``pretrain.tokenizers.TOKENIZERS``. max_tokens: longest
    input of the published pretraining, specials included. heads: objectives the published weights have heads for.
    parameters: trained ones of the published size, encoder and heads; unused_parameters: those that published files
    hold besides (poolers and the like). upstream: names in the release's own files; ports: names in others that hold
    the same model. quirks: config key -> the value that reproduces a defect or oddity of the release (``quirks:
    upstream``); ``masking.parts.STRATEGY.KEY`` for a strategy that is a part of a mixture. vocabulary_files: those
    beside published weights that tell the truth.
    """

    name: str
    settings: Any
    tokenizer: str
    max_tokens: int
    parameters: int
    upstream: KeyLayout
    hugging_face: HuggingFaceForm
    heads: tuple[str, ...] = ("mlm",)
    unused_parameters: int = 0
    quirks: Mapping[str, Any] = field(default_factory=dict)
    recipe_file: str | None = None
    ports: tuple[KeyLayout, ...] = ()
    vocabulary_files: tuple[str, ...] = VOCABULARY_FILES
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)

    def build_tokenizer(self, **options: Any) -> Tokenizer:
        """Its tokenizer; PolymeraseError where that has no such option."""
        from pretrain.tokenizers import build_tokenizer

        return build_tokenizer(self.tokenizer, **self.tokenizer_options, **options)

    @property
    def recipe(self) -> str:
        """Name of its recipe's file under ``configs``, without ``.yaml``."""
        return self.recipe_file or self.name

    @property
    def architecture(self) -> str:
        """Name of its architecture."""
        return architecture_of(self.settings).name

    def resized(self, config: Mapping[str, Any]) -> Any:
        """This family with the sizes of a config.json (or of ``model.*`` overrides); other keys are not read."""
        names = CONFIG_FIELDS + self.hugging_face.extra_fields
        changes = {name: config[name] for name in names if config.get(name) is not None}
        if config.get("hidden_act") is not None:  # transformers has one name for both
            changes |= {"mlp": config["hidden_act"], "head_act": config["hidden_act"]}
        if self.settings.segment_rows:
            changes["segment_rows"] = config.get(
                "type_vocab_size", config.get("segment_rows", self.settings.segment_rows)
            )
        if self.settings.position_embedding_type == "rotary":
            changes.update(_rope(config.get("rope_scaling") or config.get("rope_parameters") or {}, config))
        return replace(self.settings, **changes)


def _rope(scaling: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings of a config; transformers 5 writes rope_type "default" where there is no scaling."""
    changes: dict[str, Any] = {}
    theta = config.get("rope_theta", scaling.get("rope_theta"))
    if theta is not None:
        changes["rope_theta"] = float(theta)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind in ("linear", "dynamic"):
        changes["rope_scaling"] = RopeScaling(kind, float(scaling["factor"]))
    return changes
