"""A published (or exported) checkpoint as one of our families, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES, Family, KeyLayout
from pretrain.families.custom import custom_family, options_in_folder, with_tokenizer
from pretrain.families.keys import numbers_behind
from pretrain.families.own_code import MODEL_TYPES, family_of_config, settings_of_config
from pretrain.importing.adapter import CLASSIFIERS
from pretrain.importing.match import KeyMatch, check, match
from pretrain.importing.sizes import settings_from, sizes_of
from pretrain.importing.source import FAMILY_KEY, TOKENIZER_KEY, ImportedFile, is_classifier, read_source
from pretrain.importing.vocabulary import check_vocabulary, vocabulary_beside, with_tokenizer_beside
from pretrain.models import ModelSettings, architecture_of, find_architecture
from pretrain.models.record import with_fields


@dataclass(frozen=True)
class Imported:
    """A checkpoint as a model of ours.

    Attributes:
        state: float32 under our names, with its ``heads.…`` and ``unused.…`` tensors.
        without: the source's names of the tensors of an output head, if it lacks them all (an encoder alone).
    """

    family: Family
    settings: ModelSettings
    state: dict[str, Tensor]
    layout: str  # "upstream" or "Hugging Face"
    without: tuple[str, ...] = ()


def import_published(
    source: ImportedFile, family: Family, overrides: Mapping[str, Any] | None = None, *, any_vocabulary: bool = False
) -> Imported:
    """Read a source as a model of ``family``.

    The release's own layout and the Hugging Face one are told apart by their names; if both have the same names
    (BERT), by whether a transformers version is recorded beside the weights.

    Args:
        source: tensors and config.json.
        family: the family it should be.
        overrides: settings under the names of transformers configs, for what neither shapes nor config.json tell.
        any_vocabulary: whether rows may stand for other tokens than the family's; the caller then keeps their meaning.

    Raises:
        PolymeraseError: names the tensors at fault, the family this looks like instead, or the id that means another
            token in the vocabulary beside the source.
    """
    name, published = str(source.path), family
    family = family_of_config(family, source.config)
    layout, matched = _best_layout(source, family)
    rows = sizes_of(family, matched.state).get("vocab_size")
    if any_vocabulary and rows is not None:
        family = replace(family, settings=replace(family.settings, vocab_size=rows))
    if _problems(matched, family) or rows != family.settings.vocab_size:
        alike = [other for other in families_like(source) if other != family.name]
        if alike:
            raise PolymeraseError(f"{name}: this looks like {' or '.join(alike)}, not {family.name}")
        if rows is not None and rows != family.settings.vocab_size and not matched.unexpected:
            raise PolymeraseError(
                f"{name}: a vocabulary of {rows} tokens, {family.name} has {family.settings.vocab_size}; "
                "this is another model, or one with its own or a padded vocabulary (convert --without-tokenizer keeps "
                "the weights alone)"
            )
    if rows is None and matched.unexpected:
        raise PolymeraseError(
            f"{name}: no token embedding of {family.name} among its tensors ({', '.join(matched.unexpected[:4])}, …); "
            "this is another model"
        )
    settings = settings_from(family, matched.state, source.config, overrides or {}, name)
    check(matched, family, settings, name)
    if not any_vocabulary:
        published = with_tokenizer_beside(published, source.path.parent)
        check_vocabulary(str(source.path.parent), published, source.path.parent)
    return Imported(published, settings, matched.state | source.side, layout, tuple(matched.lost_head(settings)))


def load_pretrained_state(folder: str | Path) -> tuple[Family, ModelSettings, dict[str, Tensor]]:
    """Load family, settings and weights (our names, float32) of a Hugging Face folder or a checkpoint file.

    Of a classifier that transformers saved, the encoder.

    Raises:
        PolymeraseError: no family fits, several do, the tensors are not exactly those of a model, or the vocabulary
            beside them gives other ids or has more of them than the weights have rows.
    """
    source = _encoder_of(read_source(Path(folder)))
    imported = import_published(source, _family_of(source))
    rows, tokens = imported.settings.vocab_size, len(imported.family.build_tokenizer().vocab)
    if rows < tokens:
        raise PolymeraseError(
            f"{source.path.parent}: weights of {rows} tokens, but {imported.family.tokenizer}, which reads texts for "
            f"them, has {tokens}; what was converted with --without-tokenizer is for transformers alone"
        )
    return imported.family, imported.settings, imported.state


def families_like(source: ImportedFile) -> list[str]:
    """List families whose names and vocabulary size fit a source exactly."""
    found = []
    own = MODEL_TYPES.get(str(source.config.get("model_type")))
    candidates = [each for each in FAMILIES.values() if own in (None, each.architecture)]
    for family in (family_of_config(each, source.config) for each in candidates):
        _, matched = _best_layout(source, family)
        rows = sizes_of(family, matched.state).get("vocab_size")  # one-hot rows without an output head tell none
        if rows in (None, family.settings.vocab_size) and not _problems(matched, family):
            found.append(family.name)
    return found


def _encoder_of(source: ImportedFile) -> ImportedFile:
    """The source without the output layer that fine-tuning added, which none of our commands reads."""
    if not is_classifier(source.config):
        return source
    tensors = {key: tensor for key, tensor in source.tensors.items() if not key.startswith(CLASSIFIERS)}
    return replace(source, tensors=tensors)


def _family_of(source: ImportedFile) -> Family:
    stated, tokenizer = (str(source.config.get(key, "")) for key in (FAMILY_KEY, TOKENIZER_KEY))
    options = options_in_folder(tokenizer, source.path.parent)
    if stated in FAMILIES:
        return with_tokenizer(FAMILIES[stated], tokenizer, options) if tokenizer else FAMILIES[stated]
    if tokenizer and (architecture := MODEL_TYPES.get(str(source.config.get("model_type")))) is not None:
        fields = settings_of_config(source.config, find_architecture(architecture).settings)
        return custom_family(with_fields(find_architecture(architecture), fields, None), tokenizer, options)
    alike = families_like(source)
    if len(alike) > 1 and (vocabulary := vocabulary_beside(source.path.parent)) is not None:
        alike = [name for name in alike if FAMILIES[name].build_tokenizer().vocab == vocabulary]
    if len(alike) != 1:
        what = f"could be {' or '.join(alike)}" if alike else "no model of a known family"
        raise PolymeraseError(f"{source.path}: {what}; convert it first: python launch/convert.py --family NAME …")
    return FAMILIES[alike[0]]


def _best_layout(source: ImportedFile, family: Family) -> tuple[str, KeyMatch]:
    """The layout with the fewest problems; of equals the one that the source's config.json suggests."""
    layouts: list[tuple[str, KeyLayout]] = [
        ("upstream", family.upstream),
        *(("Hugging Face", port) for port in family.ports),
        ("Hugging Face", family.hugging_face.keys),
    ]
    if source.is_hugging_face:
        layouts.reverse()
    matches = [(name, match(layout, source.tensors)) for name, layout in layouts]
    return min(matches, key=lambda named: _problems(named[1], family))


def _problems(matched: KeyMatch, family: Family) -> int:
    architecture = architecture_of(family.settings)
    counts = {name: max(1, len(numbers_behind(matched.state, prefix))) for name, prefix in architecture.counted.items()}
    try:
        settings = with_fields(architecture, counts | family.more_sizes(matched.state), family.settings)
    except PolymeraseError:  # sizes that do not fit the published ones; which of them is wrong is said later
        settings = with_fields(architecture, counts, family.settings)
    return len(matched.unexpected) + len(matched.missing(family, settings))
