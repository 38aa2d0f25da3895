"""Relatives of held-out sequences among what a model was trained on, for commands that print them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from data_prep.corpus import Corpus, Ragged

MOST_ASKED = 2_000  # sequences that are looked up, evenly taken
MOST_LETTERS = 20_000_000  # of a corpus that they are compared with, in rows evenly taken


def option(parser: Any) -> None:
    """``--pretrained-on``."""
    parser.add_argument(
        "--pretrained-on", action="append", metavar="DIR", default=[],
        help="corpus in which relatives are counted (default: those of a run); may be repeated",
    )  # fmt: skip


def line(leak: dict[str, Any]) -> str:
    """What a table says of :meth:`Pretraining.leak`."""
    if "unknown" in leak:
        return f"relatives in the pretraining corpus: not counted: {leak['unknown']}"
    return f"relatives in the pretraining corpus ({', '.join(leak['corpora'])}): {leak['sentence']}"


def between_folds(sequences: Ragged, folds: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """The sentence on sequences with relatives in other folds; training and test rows of each fold."""
    from collections import Counter

    from data_prep.filters.similarity import leakage
    from data_prep.filters.similarity.leaks import Leakage
    from pretrain.data.ragged import evenly, take

    found = [
        leakage(take(sequences, train), evenly(take(sequences, test), MOST_ASKED // len(folds)))
        for train, test in folds
    ]
    relatives: Counter[float] = Counter()
    for one in found:
        relatives.update(one.relatives)
    whole = Leakage(
        training=len(sequences),
        held_out=sum(one.held_out for one in found),
        same_sequence=sum(one.same_sequence for one in found),
        relatives={identity: relatives[identity] for identity in found[0].relatives},
        coverage=found[0].coverage,
        strand=found[0].strand,
    )
    return whole.sentence()


def related(known: Ragged, asked: Ragged) -> tuple[np.ndarray, str]:
    """Identity of the closest relative of each asked sequence, float64 (H,) (0: none), and the sentence on it."""
    from data_prep.filters.similarity.leaks import IDENTITIES, Leakage, best_identities
    from data_prep.filters.similarity.relation import Relation

    relation = Relation(IDENTITIES[-1])
    best, same = best_identities(known, asked, relation)
    return best, Leakage.counted(best, same, len(known), relation, IDENTITIES).sentence()


@dataclass(frozen=True)
class Pretraining:
    """What a model was trained on: folders that are at hand, or why there is none to look into. note: said with it."""

    folders: tuple[str, ...]
    unknown: str = ""
    note: str = ""

    def leak(self, asked: Ragged) -> dict[str, Any]:
        """``{"corpora", "sentence", counts}`` of held-out sequences with relatives there, or ``{"unknown": why}``."""
        from data_prep.filters.similarity import leakage
        from pretrain.data.ragged import evenly

        if self.unknown:
            return {"unknown": self.unknown}
        known, share = self._training
        if not len(known) or not len(asked):
            return {"unknown": f"{', '.join(self.folders)}: no sequences to compare with"}
        some = evenly(asked, MOST_ASKED)
        found = leakage(known, some)
        sentence = found.sentence()
        if len(some) < len(asked):
            sentence += f" Searched {len(some):,} of {len(asked):,} sequences."
        if share < 1:
            sentence += f" Compared with {share:.1%} of the corpus; the whole corpus has as many relatives or more."
        return {"corpora": list(self.folders), "sentence": sentence + self.note, **found.to_json()}

    @cached_property
    def _training(self) -> tuple[Ragged, float]:
        """Training sequences of all corpora, and which share of their letters they are."""
        from data_prep.corpus import open_corpus
        from pretrain.data.ragged import concatenate

        corpora = [open_corpus(folder) for folder in self.folders]
        letters = sum(_letters(corpus) for corpus in corpora)
        step = max(1, -(-letters // MOST_LETTERS))
        parts = [_every(corpus, step) for corpus in corpora if "train" in corpus.splits]
        known = concatenate(parts)
        return known, len(known.values) / max(letters, 1)


def pretraining_of(source: str, named: Iterable[str] = (), beside: Path | None = None) -> Pretraining:
    """The corpora of a model: those named, or those of its run's config where they are as they were.

    A folder says in its config.json what the corpora held. They are looked for in ``corpora/`` and next to ``beside``.

    Raises:
        PolymeraseError: a named folder is no corpus of sequences.
    """
    from pretrain.data.sources import open_checked
    from pretrain.errors import PolymeraseError
    from pretrain.evaluation.model import is_run
    from pretrain.importing.source import is_fine_tuned

    named = tuple(named)
    for folder in named:
        if (kind := open_checked(folder).kind) != "sequences":
            raise PolymeraseError(f"--pretrained-on {folder}: expected a corpus of sequences, got one of {kind}")
    if named:
        return Pretraining(named)
    if not is_run(Path(source)):
        found = _of_folder(source, beside)
        if not is_fine_tuned(Path(source)):
            return found
        tuned = f"{source} was fine-tuned on labels whose rows it does not name: they may be among those asked here"
        if found.unknown:
            return replace(found, unknown=f"{found.unknown}. {tuned}")
        return replace(found, note=f"{found.note} {tuned}.")
    return _of_run(Path(source))


def of_corpus(source: str, named: Iterable[str], corpus: str, most: int) -> dict[str, Any]:
    """:meth:`Pretraining.leak` of the first held-out sequences of a corpus.

    A model that does not say what it was trained on is asked about the train split beside them.
    """
    import numpy as np

    from data_prep.corpus import open_corpus

    opened = open_corpus(corpus)
    if opened.kind != "sequences":
        return {"unknown": f"{corpus} is a corpus of {opened.kind}; relatives are not counted for it"}
    held_out = opened.split("validation")
    trained = pretraining_of(source, named, Path(corpus))
    if trained.unknown and "train" in opened.splits:
        trained = Pretraining((corpus,), note=f" This is the train split of the same corpus: {trained.unknown}.")
    return trained.leak(held_out.gather_text("sequence", np.arange(min(most, len(held_out)))))


def _of_folder(source: str, beside: Path | None) -> Pretraining:
    from pretrain.data.trained_before import found_by_content
    from pretrain.importing.source import stated_corpora

    stated = stated_corpora(Path(source))
    if stated is None:
        return Pretraining((), f"{source} does not say what it was trained on; give --pretrained-on DIR")
    parents = [*([beside.resolve().parent] if beside else []), Path("corpora").resolve()]
    found = found_by_content(stated, parents)
    for name, fingerprint in stated.items():
        if fingerprint not in found:
            where = " or ".join(map(str, dict.fromkeys(parents)))
            return Pretraining(
                (), f"{source} was trained on corpus {name} (fingerprint {fingerprint[:16]}), which is not in {where}; "
                "give --pretrained-on DIR"
            )  # fmt: skip
        if found[fingerprint].kind != "sequences":
            return Pretraining((), f"{name} is a corpus of {found[fingerprint].kind}; relatives are not counted for it")
    return Pretraining(tuple(str(corpus.folder) for corpus in found.values()))


def _of_run(run: Path) -> Pretraining:
    """Relative paths are those of the folder that the command is called in, as in training."""
    from data_prep.corpus import open_corpus
    from data_prep.errors import DataPrepError
    from pretrain.config import load_config
    from pretrain.runs.checkpoint import find_checkpoint, read_state

    whole = load_config(str(run / "config.yaml"))
    config, began = whole.corpus, whole.model.init_from
    fingerprints = set(read_state(find_checkpoint(run))["identity"].get("corpus", {}).values())
    folders = [path for path in (config.path, *(extra.path for extra in config.extra)) if path is not None]
    for folder in folders:
        try:
            corpus = open_corpus(folder)
        except DataPrepError:
            return Pretraining((), f"the corpus {folder} of {run} is not found; give --pretrained-on DIR")
        if corpus.fingerprint not in fingerprints:
            return Pretraining((), f"{folder} has changed since {run} was trained; give --pretrained-on DIR")
        if corpus.kind != "sequences":
            return Pretraining((), f"{folder} is a corpus of {corpus.kind}; relatives are not counted for it")
    if began is None:
        return Pretraining(tuple(folders))
    before = _of_folder(began, Path(folders[0]))
    note = f" The run began from {began}, whose training data is not searched: {before.unknown}."
    return Pretraining(tuple(dict.fromkeys([*folders, *before.folders])), note=note if before.unknown else "")


def _letters(corpus: Corpus) -> int:
    return int(corpus.manifest["splits"].get("train", {}).get("nucleotides", 0))


def _every(corpus: Corpus, step: int) -> Ragged:
    import numpy as np

    table = corpus.split("train")
    return table.gather_text("sequence", np.arange(0, len(table), step))
