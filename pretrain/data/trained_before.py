"""The corpora that the weights of ``model.init_from`` were trained on, as far as they are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data_prep.corpus import Corpus, open_corpus
from data_prep.errors import DataPrepError


def trained_before(
    source: str, stated: Mapping[str, str] | None, corpora: Sequence[Corpus]
) -> tuple[list[Corpus], list[str]]:
    """Find corpora by their content, beside those of this run.

    Args:
        source: where the weights come from, for the notes.
        stated: name -> fingerprint of what they were trained on; None if they do not say.
        corpora: of this run. One of them needs no comparison with itself.

    Returns:
        The corpora that were found, and notes on what is not known.
    """
    if stated is None:
        return [], [f"{source} does not name its training corpus, which may hold sequences that this run holds out"]
    here = {corpus.fingerprint for corpus in corpora}
    wanted = {name: fingerprint for name, fingerprint in stated.items() if fingerprint not in here}
    found = found_by_content(wanted, [corpus.folder.resolve().parent for corpus in corpora])
    notes = [
        f"{source} was trained on corpus {name} (fingerprint {fingerprint[:16]}), which is not next to "
        f"{corpora[0].folder}: their held-out sequences are not compared; put it there to compare them"
        for name, fingerprint in wanted.items()
        if fingerprint not in found
    ]
    return list(found.values()), notes


def found_by_content(wanted: Mapping[str, str], parents: Sequence[Path]) -> dict[str, Corpus]:
    """Find corpora, name -> fingerprint, among the folders in ``parents``. Returns fingerprint -> corpus."""
    found: dict[str, Corpus] = {}
    for corpus in _inside(parents, list(wanted)):
        if len(found) == len(set(wanted.values())):
            break
        if corpus.fingerprint in wanted.values():
            found.setdefault(corpus.fingerprint, corpus)
    return found


def _inside(parents: Sequence[Path], names: list[str]) -> Iterator[Corpus]:
    """Corpora in these folders, the likely ones first."""
    for parent in dict.fromkeys(parents):
        try:
            folders = sorted((each for each in parent.iterdir() if each.is_dir()), key=lambda f: f.name not in names)
        except OSError:
            continue
        yield from (corpus for folder in folders if (corpus := _opened(folder)) is not None)


def _opened(folder: Path) -> Corpus | None:
    try:
        return open_corpus(folder)
    except (DataPrepError, OSError):
        return None
