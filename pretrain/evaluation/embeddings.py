"""Embeddings of sequences, and the files that hold them."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch

from data_prep.corpus import Ragged
from data_prep.corpus.files import write_atomic
from data_prep.corpus.ragged import offsets_of
from pretrain.data.ragged import take
from pretrain.errors import PolymeraseError
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.out_file import check_out_file
from pretrain.evaluation.passes import batches_of, pack
from pretrain.evaluation.sliding import Windows, letters_and_windows
from pretrain.models import architecture_of

Pool = Literal["mean", "cls", "token"]
FORMATS = (".npz", ".safetensors")


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of S sequences.

    Attributes:
        ids: names (S,).
        values: float32 (S, D), or (sum of tokens, D) for single tokens.
        offsets: int64 (S+1,) for single tokens, else None.
    """

    ids: list[str]
    values: np.ndarray
    offsets: np.ndarray | None = None


def embed(model: TrainedModel, ids: list[str], sequences: Ragged | Windows, pool: Pool, layer: int = -1) -> Embeddings:
    """Compute hidden states of a layer, pooled.

    Args:
        model: a trained model.
        ids: names (S,).
        sequences: S rows that fit the model, or windows over S sequences of any length. Of these each nucleotide (or
            k-mer) is taken from the window that answers for it; ``cls`` is the mean of the windows' first tokens.
        pool: ``mean`` over the nucleotides (or k-mers), without special tokens; ``cls``: the first token; ``token``:
            every nucleotide (or k-mer), without special tokens.
        layer: 0 after the embeddings, -1 the last one.

    Raises:
        PolymeraseError: no such layer, or ``cls`` of a model whose first token stands for itself alone.
    """
    if pool == "cls":
        model.require_first_token("--pool cls")
    layers = architecture_of(model.settings).layers(model.settings)
    if not -layers - 1 <= layer <= layers:
        raise PolymeraseError(f"{model.source}: expected a layer from 0 (embeddings) to {layers}, got {layer}")
    letters, windows = letters_and_windows(sequences)
    lengths = model.tokenizer.token_count(letters.lengths)
    order = np.argsort(lengths, kind="stable")  # of similar length together
    pieces: list[np.ndarray] = [np.zeros(0)] * len(order)
    weights = np.zeros(len(order))
    from tqdm import tqdm

    with tqdm(total=len(order), desc="sequences", disable=None) as bar:
        start = 0
        for count in batches_of(model, lengths[order]):
            rows = order[start : start + count]
            owned = (windows.first[rows], windows.stop[rows]) if windows else None
            found = _embed_batch(model, take(letters, rows), pool, layer, owned)
            for row, (piece, count_of_tokens) in zip(rows.tolist(), found, strict=True):
                pieces[row], weights[row] = piece, count_of_tokens
            start += count
            bar.update(count)
    row = windows.row if windows else np.arange(len(pieces))
    if pool != "token":
        return Embeddings(ids, _weighted_means(np.stack(pieces), weights, row))
    counts = np.bincount(row, [len(piece) for piece in pieces]).astype(np.int64)
    return Embeddings(ids, np.concatenate(pieces), offsets_of(counts))


def _weighted_means(values: np.ndarray, weights: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Rows (W, D) of windows -> of sequences float32 (S, D)."""
    if len(values) == row[-1] + 1:
        return values
    first = np.flatnonzero(np.diff(row, prepend=-1))
    share = weights / np.add.reduceat(weights, first)[row]
    return np.add.reduceat(values * share[:, None], first, axis=0).astype(np.float32)


def _embed_batch(
    model: TrainedModel, sequences: Ragged, pool: Pool, layer: int, owned: tuple[np.ndarray, np.ndarray] | None
) -> list[tuple[np.ndarray, int]]:
    """What each sequence is embedded as, and how many tokens it stands for; ``owned``: first and stop, int64 (S,)."""
    tokens = model.tokenizer.encode(sequences)
    batch = pack(model, tokens.ids, tokens.lengths.tolist())
    with torch.no_grad():
        states = model.network.encoder(batch, return_states=True).states
    assert states is not None
    values = states[layer].float().cpu().numpy()
    pieces = np.split(values, tokens.offsets[1:-1])
    if pool == "cls":
        return [(piece[0], 1) for piece in pieces]
    kept = tokens.maskable
    if owned is not None:
        first, stop = (np.repeat(bound, tokens.lengths) for bound in owned)
        kept = kept & (tokens.nucleotide >= first) & (tokens.nucleotide < stop)
    letters = np.split(kept, tokens.offsets[1:-1])
    inner = [piece[keep] for piece, keep in zip(pieces, letters, strict=True)]
    if pool == "token":
        return [(piece, len(piece)) for piece in inner]
    return [(piece.mean(axis=0) if len(piece) else np.zeros_like(values[0]), len(piece)) for piece in inner]


def check_format(path: Path) -> None:
    """Raise PolymeraseError unless the name ends as a file that can be written; called before the work is done."""
    if path.suffix not in FORMATS:
        raise PolymeraseError(f"{path}: expected a file that ends in {' or '.join(FORMATS)}")
    check_out_file(path)


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write ``.npz`` (arrays ids, embeddings, offsets) or ``.safetensors`` (ids as JSON in its metadata).

    The file is whole or as it was before.

    Raises:
        PolymeraseError: it cannot be written.
    """
    check_format(path)
    arrays = {"embeddings": embeddings.values}
    if embeddings.offsets is not None:
        arrays["offsets"] = embeddings.offsets
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            write_atomic(path, lambda file: _write_npz(file, {"ids": np.array(embeddings.ids), **arrays}))
        else:
            from safetensors.numpy import save

            write_atomic(path, save(arrays, metadata={"ids": json.dumps(embeddings.ids)}))
    except OSError as error:
        raise PolymeraseError(f"{path}: not written: {error.strerror}") from None


def _write_npz(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write as ``np.savez``, into a file that cannot seek."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
