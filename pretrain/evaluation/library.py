"""The library in five calls, for scripts and notebooks: these names and their arguments are stable.

    from pretrain import embed, load_model, load_run, mutate, score_variants

Whatever takes a model takes a loaded one, or the path of a run or of a Hugging Face folder. Sequences are text in
letters of RNA or DNA. What is wrong is a ``pretrain.errors.PolymeraseError`` of one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.causal import is_causal, likelihood_ratios
from pretrain.evaluation.embeddings import Pool
from pretrain.evaluation.embeddings import embed as embed_sequences
from pretrain.evaluation.length_limits import fit
from pretrain.evaluation.model import TrainedModel
from pretrain.evaluation.model import load_model as load_trained_model
from pretrain.evaluation.mutagenesis import Mutagenesis, mutate_sequence
from pretrain.evaluation.sliding import sliding_windows
from pretrain.evaluation.spelling import letters_of
from pretrain.evaluation.variant_effects import Strand, Substitution, variant_scores, window_width
from pretrain.runs.history import RunRecords, read_run

Model = TrainedModel | str | Path
Sequences = str | Sequence[str] | Mapping[str, str]


def load_run(folder: str | Path) -> RunRecords:
    """What a run has left: ``config``, ``series(name)``, ``held_out``, ``events``, ``environment``, ``finished``."""
    return read_run(Path(folder))


def load_model(source: str | Path, step: int | None = None) -> TrainedModel:
    """A run's newest whole checkpoint (or that of ``step``), or a Hugging Face folder; on the GPU where there is one.

    ``network`` is a torch module, ``tokenizer`` its tokenizer, ``settings`` its sizes.
    """
    return load_trained_model(str(source), step)


def embed(
    model: Model,
    sequences: Sequences,
    pool: Pool = "mean",
    layer: int = -1,
    window: int | None = None,
    stride: int | None = None,
) -> np.ndarray | list[np.ndarray]:
    """Hidden states of sequences of any length.

    Args:
        model: a loaded one, or a path.
        sequences: one text, several, or a mapping whose values are texts.
        pool: ``mean`` over nucleotides, ``cls`` the first token, ``token`` every nucleotide (k-mer).
        layer: 0 after the embeddings, -1 the last one.
        window: nucleotides that are read at a time of what is longer; default: what the model holds.
        stride: nucleotides from one window to the next; default: half of a window.

    Returns:
        float32 (S, D) in the order given, or with ``token`` a list of float32 (tokens, D).
    """
    loaded, rows = _model(model), _rows(sequences)
    names = [f"sequence {number}" for number in range(1, len(rows) + 1)]
    letters = Ragged.from_rows(letters_of(names, rows))
    kept, letters, _ = fit(loaded, "sequences", names, letters, "windows")
    if len(kept) < len(rows):
        short = next(name for name in names if name not in kept)
        raise PolymeraseError(f"{short} is shorter than {loaded.tokenizer.min_nucleotides} nt; leave it out")
    found = embed_sequences(loaded, names, sliding_windows(loaded, letters, window, stride), pool, layer)
    if found.offsets is None:
        return found.values
    return np.split(found.values, found.offsets[1:-1])


def score_variants(
    model: Model,
    contig: str,
    variants: Sequence[Substitution | tuple[int, str, str]],
    window: int | None = None,
    strand: Strand = "plus",
) -> np.ndarray:
    """Score variants: log P(alt) - log P(ref) in nats; above 0 the model prefers the alternative.

    Args:
        model: a loaded one, or a path. Causal models compare whole windows, so they take insertions and deletions too.
        contig: letters of the whole contig (or transcript).
        variants: ``(pos0, ref, alt)`` each; positions count from 0.
        window: bases around a variant that are read; default: at most 512.
        strand: that the model reads.

    Returns:
        float64 (V,), NaN where there are letters other than A, C, G, T, U around it.

    Raises:
        PolymeraseError: a reference letter is not that of the contig.
    """
    loaded, text = _model(model), contig.upper().replace("U", "T")
    changes = [Substitution(pos0, ref.upper().replace("U", "T"), alt.upper().replace("U", "T"))
               for pos0, ref, alt in variants]  # fmt: skip
    causal = is_causal(loaded)
    for change in changes:
        there = text[max(change.pos0, 0) : max(change.pos0, 0) + len(change.ref)]
        if change.pos0 < 0 or there != change.ref or not change.ref:
            raise PolymeraseError(f"position {change.pos0} (0-based): expected {change.ref!r}, got {there!r} there")
        if not causal and (len(change.ref), len(change.alt)) != (1, 1):
            raise PolymeraseError(
                f"position {change.pos0}: {change.ref} to {change.alt} is not a substitution of one base; a model that "
                "hides tokens scores those alone"
            )
    scores = likelihood_ratios if causal else variant_scores
    found = scores(loaded, text.encode("ascii", "replace"), changes, window_width(loaded, window), strand)
    return np.array([np.nan if score is None else score for score in found], np.float64)


def mutate(model: Model, sequence: str, window: int | None = None, name: str = "sequence") -> Mutagenesis:
    """Every single-base substitution of a sequence, scored as a variant is.

    ``scores`` is float32 (T, 4) with a column for each of ``letters``; ``saliency`` float32 (T,).
    """
    return mutate_sequence(_model(model), name, sequence, window)


def _model(model: Model) -> TrainedModel:
    return model if isinstance(model, TrainedModel) else load_model(model)


def _rows(sequences: Sequences) -> list[str]:
    if isinstance(sequences, str):
        return [sequences]
    return list(sequences.values() if isinstance(sequences, Mapping) else sequences)
