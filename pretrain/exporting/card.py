"""The README.md of an exported folder: front matter of the Hugging Face hub, how to use it, how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from pretrain.exporting.form import Kind, class_of
from pretrain.exporting.tensors import ExportTensors
from pretrain.exporting.text_contract import contract_sentence
from pretrain.exporting.usage import usage_blocks, usage_of_ids
from pretrain.exporting.verify import Verification
from pretrain.families import Family
from pretrain.families.own_code import form_of
from pretrain.importing.source import OBJECTIVE_HEADS, UNUSED_TENSORS
from pretrain.models import ModelSettings, architecture_of, side_inputs_of
from pretrain.objectives import OBJECTIVES
from pretrain.tokenizers import Tokenizer


@dataclass(frozen=True)
class CardFacts:
    """Facts about a model that only the caller knows.

    Attributes:
        origin: one sentence on the origin of the weights.
        license: a license id of the hub, ``unknown`` if nobody said.
        table: rows for the card.
        notes: sentences a user must know.
        corpora: name -> fingerprint of the training corpora.
        sources: sources of the corpora, one mapping of column to text each.
        held_out: (dataset, metric, value) for the hub's leaderboards.
        differences: (key, published, here) if the run differs from the published recipe.
    """

    origin: str
    license: str = "unknown"
    table: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    corpora: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Mapping[str, str], ...] = ()
    held_out: tuple[tuple[str, str, float], ...] = ()
    differences: tuple[tuple[str, str, str], ...] = ()


def model_card(
    name: str,
    family: Family,
    settings: ModelSettings,
    kind: Kind,
    tensors: ExportTensors,
    remote: tuple[bool, bool],
    facts: CardFacts,
    verified: Verification,
    tokenizer: Tokenizer | None,
) -> str:
    """Return the text of the card.

    Args:
        name: of the folder; the usage section loads it under this name.
        family: of the model.
        settings: of the model.
        kind: ``mlm`` or ``encoder``.
        tensors: that were exported.
        remote: whether the tokenizer, and whether the model needs ``trust_remote_code``.
        facts: from the caller.
        verified: difference to our model.
        tokenizer: in the folder; None for weights that came without one.
    """
    form = form_of(family, settings)
    class_name, _ = class_of(form, settings, kind)
    random_pooler = form.kind == "native" and not any("pooler." in name for name in tensors.model)
    if tokenizer is None:
        blocks = [usage_of_ids(name, class_of(form, settings, kind)[1], remote[1])]
    else:
        blocks = usage_blocks(name, family, settings, kind, remote, tokenizer, random_pooler=random_pooler)
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(name, family, settings, facts), sort_keys=False)}---",
        f"# {name}",
        f"A model of the family `{family.name}` ({class_name}, {_count(tensors.model)} parameters), "
        f"written by polymerase. {facts.origin}",
        "## Use",
        *(f"{title}\n\n```python\n{code}```" for title, code in blocks),
        _needs(remote),
        _NO_TOKENIZER if tokenizer is None else contract_sentence(tokenizer),
    ]
    if random_pooler:
        parts.append(_RANDOM_POOLER)
    if form.model_type in _ACCUMULATED:
        parts.append(_ACCUMULATED[form.model_type])
    if tokenizer is not None and "pair_class" in side_inputs_of(settings, tokenizer.vocab):
        parts.append(_PAIRS)
    parts += _side_files(name, tensors)
    parts += ["## Facts", _table(architecture_of(settings).summary(settings) | dict(facts.table) | _corpus_rows(facts))]
    if facts.sources:
        parts += ["## Data", _rows([list(facts.sources[0]), *(list(source.values()) for source in facts.sources)])]
    if facts.differences:
        rows = [["key", "published recipe", "here"], *(list(difference) for difference in facts.differences)]
        parts += ["## Differences to the published recipe", _rows(rows)]
    if facts.notes:
        parts += ["## Good to know", "\n".join(f"* {note}" for note in facts.notes)]
    parts += ["## Verification", _verification(class_name, verified)]
    if family.paper is not None:
        parts += ["## Citation", f"The published model of this family:\n\n```bibtex\n{family.paper.bibtex()}\n```"]
    return "\n\n".join(parts) + "\n"


_NO_TOKENIZER = "No tokenizer is in this folder: give ids of the vocabulary that the weights were trained with."
_RANDOM_POOLER = (
    "There is no trained pooler: loaded without `add_pooling_layer=False`, AutoModel draws a random one, and so do "
    "classes for sequence classification that use it. With LoRA add `modules_to_save` for it, or a reloaded adapter "
    "predicts otherwise."
)
_GROWS = (
    "does not honor `num_items_in_batch`: with `gradient_accumulation_steps` its loss and gradient grow by that factor"
)
_MEAN = "takes the mean of each batch, so that under accumulation one with few labels weighs as much as another"
_ACCUMULATED = {  # classes of transformers, by model_type
    "bert": f"transformers' own BERT (5.x) {_GROWS}; that of 4.57 {_MEAN}.",
    "gpt2": f"For classification transformers' own GPT-2 (5.x) {_GROWS}; that of 4.57 {_MEAN}.",
    "esm": f"transformers' own ESM {_MEAN}.",
}
_PAIRS = (
    "Pretraining marks every pair of a position selected for prediction with -1. Pass `selected_positions` (bool, "
    "`[batch, tokens]`) to train further or to measure masked-language-model losses; without it `<mask>` merely pairs "
    "with nothing. `output_scores=True` returns the attention scores before the softmax, the pairing bias first."
)


def _front_matter(name: str, family: Family, settings: ModelSettings, facts: CardFacts) -> dict[str, object]:
    causal = architecture_of(settings).is_causal(settings)
    task, objective = ("text-generation", "causal-lm") if causal else ("fill-mask", "masked-language-model")
    matter: dict[str, object] = {
        "library_name": "transformers",
        "license": facts.license,
        "pipeline_tag": task,
        "tags": ["biology", family.molecule, objective, family.name, "polymerase"],
    }
    if facts.held_out:
        results = [
            {
                "task": {"type": task},
                "dataset": {"name": dataset, "type": dataset},
                "metrics": [{"type": metric.rpartition("/")[2], "name": metric, "value": value}],
            }
            for dataset, metric, value in facts.held_out
        ]
        matter["model-index"] = [{"name": name, "results": results}]
    return matter


def _needs(remote: tuple[bool, bool]) -> str:
    if not any(remote):
        return "No code travels with this folder; `trust_remote_code` is not needed."
    what = {(True, True): "the tokenizer and the model", (True, False): "the tokenizer", (False, True): "the model"}
    return (
        f"`trust_remote_code=True` is needed for {what[remote]}: it runs the Python files of this folder, "
        "which depend on torch and transformers (4.57 or 5) only. Read them first if you did not make them."
        + (" Pass it to AutoTokenizer too, which reads the model's config." if remote == (False, True) else "")
    )


def _side_files(name: str, tensors: ExportTensors) -> list[str]:
    parts = []
    if tensors.heads:
        heads = ", ".join(sorted({key.split(".")[1] for key in tensors.heads}))
        parts.append(
            f"## Heads of other objectives\n\n`{OBJECTIVE_HEADS}` holds the linear heads ({heads}) that the class has "
            "no place for, as `heads.NAME.linear.{weight,bias}`. They read `last_hidden_state`: "
            f"{'; '.join(f'`{name}` {one.head_reads}' for name, one in OBJECTIVES.items() if one.head_reads)}."
            "\n\n```python\n"
            f"import torch\nfrom safetensors.torch import load_file\n\n"
            f'heads = load_file("{name}/{OBJECTIVE_HEADS}")\n'
            "for key, tensor in heads.items():\n    print(key, tuple(tensor.shape))\n```"
        )
    if tensors.unused:
        names = ", ".join(sorted({key.split(".")[1] for key in tensors.unused}))
        parts.append(
            f"`{UNUSED_TENSORS}` keeps tensors of the published file that no objective trains ({names}), so that "
            "nothing of it is lost; transformers does not read it."
        )
    return parts


def _corpus_rows(facts: CardFacts) -> dict[str, object]:
    return {f"corpus {name}": f"fingerprint {fingerprint}" for name, fingerprint in facts.corpora.items()}


def _table(rows: Mapping[str, object]) -> str:
    return _rows([["", ""], *([key, value] for key, value in rows.items())])


def _rows(rows: Sequence[Sequence[object]]) -> str:
    """The first row is the header."""
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _verification(class_name: str, verified: Verification) -> str:
    return (
        f"This folder was loaded with stock transformers ({class_name}, float32, CPU) in a fresh process; on a padded "
        "batch of five sequences its token ids equal those of the training code and its output differs by at most "
        f"{verified.difference:.2e} (limit {verified.limit:.2e}, largest output {verified.largest:.2f})."
    )


def _count(tensors: Mapping[str, object]) -> str:
    return f"{sum(tensor.numel() for tensor in tensors.values()):,}"  # type: ignore[attr-defined]
