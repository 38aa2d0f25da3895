"""The description of a published model, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from pretrain.families.keys import KeyLayout
from pretrain.families.paper import Paper
from pretrain.models.architecture import architecture_of
from pretrain.models.record import with_fields
from pretrain.models.transformer.settings import RopeScaling

if TYPE_CHECKING:
    from torch import Tensor

    from pretrain.tokenizers import Tokenizer

# settings that transformers configs hold under the same name, as far as an architecture has them
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
# config key -> settings with its value, where transformers has another name
OTHER_NAMES: dict[str, tuple[str, ...]] = {"hidden_act": ("mlp", "head_act"), "type_vocab_size": ("segment_rows",)}
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")  # what says which id is which token; the first one found counts


@dataclass(frozen=True)
class HuggingFaceForm:
    """The Hugging Face folder of a model.

    Attributes:
        native: classes of transformers, no code in the folder.
        remote: our own code, which travels with the weights.
        constants: config keys that settings do not determine.
        extra_fields: settings that only this model's config has.
        names: config key -> settings with its value, if the class uses another name than we do.
        complete: adds tensors (their names) that the class always has and no recipe trains.
        unread: keys of the release's config.json that its code does not read, or that mean something else there.
    """

    kind: Literal["native", "remote"]
    model_type: str
    base_class: str
    masked_lm_class: str
    keys: KeyLayout
    constants: dict[str, Any] = field(default_factory=dict)
    extra_fields: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: OTHER_NAMES)
    complete: Callable[[dict[str, Tensor], Any], None] = lambda tensors, settings: None
    unread: tuple[str, ...] = ()

    def settings_of_key(self, settings: Any) -> dict[str, tuple[str, ...]]:
        """Return config key -> names of these settings that have its value. Tables without rows have no key."""
        own = {each.name for each in fields(settings)}
        plain = {name: (name,) for name in CONFIG_FIELDS + self.extra_fields if name in own}
        named = {key: names for key, names in self.names.items() if own.issuperset(names)}
        return {
            key: names
            for key, names in (plain | named).items()
            if not names[0].endswith("_rows") or getattr(settings, names[0])
        }

    def config(self, settings: Any) -> dict[str, Any]:
        """Return the config.json of these settings."""
        said = {key: getattr(settings, names[0]) for key, names in self.settings_of_key(settings).items()}
        return {"model_type": self.model_type, **said, **self.constants}


@dataclass(frozen=True)
class Family:
    """A published model.

    Attributes:
        name: its key in ``FAMILIES``.
        settings: those of the published model; their class says which architecture it is of.
        tokenizer: name in ``pretrain.tokenizers.TOKENIZERS``; ``tokenizer_options`` are what it is built with.
        max_tokens: longest input of the published pretraining, specials included.
        parameters: trained ones of the published size, backbone and heads.
        upstream: names in the release's own files; ``ports``: names in others that hold the same model.
        hugging_face: how it is exported.
        heads: objectives the published weights have heads for.
        unused_parameters: those that published files hold besides (poolers and the like).
        unused_shapes: our name of each such tensor behind ``unused.`` -> its shape, from the settings.
        more_sizes: sizes that only these unused tensors tell.
        quirks: config key -> the value that reproduces a defect or oddity of the release (``quirks: upstream``);
            ``masking.parts.STRATEGY.KEY`` for a strategy that is a part of a mixture.
        vocabulary_files: those beside published weights that tell the truth.
        recipe_file: its file under ``configs`` without ``.yaml``, where that is not its name.
        recipe_ranks: GPUs on which the batch of that file makes the published step; None where that is not stated.
        license: id that the release states for its weights.
        paper: what its users cite.
        notes: what every user of its models must know.
        molecule: what its letters are.
        fine_tuning_head: name in ``pretrain.evaluation.probing.heads.HEADS`` of the head it is published with.
        token_type_ids: its tokenizer gives them too, as those of BERT do.
        reads_base_probabilities: its inputs may be rows of base probabilities instead of ids.
        release: settings, our tensors -> tensors and config.json as the release has them; None: not written.
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
    unused_shapes: Callable[[Any], dict[str, tuple[int, ...]]] = lambda settings: {}
    more_sizes: Callable[[Mapping[str, Tensor]], dict[str, int]] = lambda state: {}
    quirks: Mapping[str, Any] = field(default_factory=dict)
    ports: tuple[KeyLayout, ...] = ()
    vocabulary_files: tuple[str, ...] = VOCABULARY_FILES
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)
    recipe_file: str | None = None
    recipe_ranks: int | None = None
    license: str = "unknown"
    paper: Paper | None = None
    notes: tuple[str, ...] = ()
    molecule: Literal["rna", "dna"] = "rna"
    fine_tuning_head: str = "pooler"
    token_type_ids: bool = False
    reads_base_probabilities: bool = False
    release: Callable[[Any, Mapping[str, Tensor]], tuple[dict[str, Tensor], dict[str, Any]]] | None = None

    def build_tokenizer(self, **options: Any) -> Tokenizer:
        """Build its tokenizer; PolymeraseError if that has no such option."""
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
        """Return the settings with the values of a config.json (or ``model.*`` overrides); other keys are not read."""
        return with_fields(architecture_of(self.settings), self.stated(config), self.settings)

    def stated(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that a config.json of this family states, by their names here."""
        found: dict[str, Any] = {}
        for key, names in self.hugging_face.settings_of_key(self.settings).items():
            for name in names:  # under our own name in configs of our own code
                value = config.get(name) if config.get(name) is not None else config.get(key)
                if value is not None:
                    found[name] = tuple(value) if isinstance(value, list) else value
        if getattr(self.settings, "position_embedding_type", None) == "rotary":
            found |= _rope(config.get("rope_scaling") or config.get("rope_parameters") or {}, config)
        return found


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
