"""The text rules of a tokenizer, found by trying it: the rows of a card and of the table in docs/export.md."""

from __future__ import annotations

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.tokenizers import Tokenizer
from pretrain.tokenizers.kmer import KmerTokenizer

_BASES = "ACGACAGGACCAGACGACACCAGGAACC"  # without T and U; long enough for codons, k-mers and byte pairs


def uses_u(tokenizer: Tokenizer) -> bool:
    """Tell whether the vocabulary spells RNA."""
    letters = {letter for i in tokenizer.nucleotide_ids for letter in tokenizer.vocab[i]}
    return "U" in letters and "T" not in letters


def in_letters_of(tokenizer: Tokenizer, rna: str) -> str:
    """Spell RNA in the letters of the vocabulary."""
    return rna if uses_u(tokenizer) else rna.replace("U", "T")


def text_contract(tokenizer: Tokenizer) -> dict[str, str]:
    """Return what happens to text, by subject."""
    text = _BASES + ("U" if uses_u(tokenizer) else "T") + _BASES
    other = text.replace("U", "T") if "U" in text else text.replace("T", "U")
    rows = {
        "lower case": "as upper case" if _same(tokenizer, text.lower(), text) else _fate(tokenizer, _BASES.lower()),
        "T and U": "the same" if _same(tokenizer, other, text) else f"{'T' if 'U' in text else 'U'} is unknown",
        "N": _fate(tokenizer, "N" * 12),
        "other IUPAC codes": _fate(tokenizer, "R" * 12),
        "blanks, line ends": "dropped" if _same(tokenizer, f" {_BASES}\n", _BASES) else _fate(tokenizer, " " * 12),
        "k-mers between blanks": _of_split_kmers(tokenizer),
        "special tokens in text": "kept, and split it" if getattr(tokenizer, "special", None) else "read as letters",
        "empty text": f"special tokens alone ({len(tokenizer.encode_text(''))})",
    }
    return rows


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode_text(text).tolist()


def _same(tokenizer: Tokenizer, one: str, other: str) -> bool:
    return _ids(tokenizer, one) == _ids(tokenizer, other)


def _fate(tokenizer: Tokenizer, run: str) -> str:
    """What becomes of a run of one kind of letters."""
    inner = [i for i in _ids(tokenizer, run) if i not in (tokenizer.cls_id, tokenizer.eos_id)]
    if not inner:
        return "dropped"
    if all(i == tokenizer.unk_id for i in inner):
        return "unknown" if len(run) == 1 or not isinstance(tokenizer, KmerTokenizer) else "windows with it are unknown"
    names = {tokenizer.vocab[i] for i in inner}
    if names == {run[0]} or names == {run[0].lower()}:
        return "a token of its own"
    return f"read as {names.pop()}" if len(names) == 1 else "tokens of their own"


def _of_split_kmers(tokenizer: Tokenizer) -> str:
    if not isinstance(tokenizer, KmerTokenizer):
        return "-"
    k, step = tokenizer.nucleotides_per_token, tokenizer.stride
    kmers = [_BASES[start : start + k] for start in range(0, len(_BASES) - k + 1, step)]
    if not _same(tokenizer, " ".join(kmers), _BASES[: (len(kmers) - 1) * step + k]):
        return "read as one sequence"
    try:
        tokenizer.encode_text(f"{_BASES[:k]} {'G' * k}")
    except PolymeraseError:
        return "taken as they are; refused where they do not overlap"
    return "taken as they are"


def contract_sentence(tokenizer: Tokenizer) -> str:
    """Return the rules as one paragraph of a card."""
    rows = text_contract(tokenizer)
    said = "; ".join(f"{subject}: {fate}" for subject, fate in rows.items() if fate != "-")
    return f"Text in: {said}. {_folded_before(tokenizer)}"


def _folded_before(tokenizer: Tokenizer) -> str:
    """Whether this project writes sequences otherwise before it reads them, as the folder alone does not."""
    mine = "U" if uses_u(tokenizer) else "T"
    for text in ("acgacaggaccagacgac" + mine.lower(), f"{_BASES}{'T' if mine == 'U' else 'U'}"):
        if tokenizer.encode(Ragged.from_rows([text.encode()])).ids.tolist() != _ids(tokenizer, text):
            return (
                f"Training and `evaluate` write sequences in upper case and with {mine} before they read them; this "
                "folder does not: give it such text."
            )
    return "Training, `evaluate` and this folder read text alike."
