"""Windows of a genome with variants: assembly beside the dense path item by item, and bytes on the disk."""

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.benchmarks.rows import in_turn, row
from data_prep.corpus.bases import pack
from data_prep.corpus.genome import ARRAYS, PACKED, GenomeTable
from data_prep.corpus.spans import BLOCK, Spans, runs

BASES, VARIANT_EVERY, WIDTH, BATCH, BATCHES = 2_000_000, 300, 510, 128, 20
TOKENS, FIRST_BASE = 9, 5  # MutBERT's vocabulary: five special tokens, then A, C, G, T
GENOME_BASES, GENOME_VARIANTS, GENOME_ROWS = 3_100_000_000, 10_000_000, 6404
GENOME_REPEATS = 5_000_000


def window_rows(scratch: Path) -> list[dict[str, Any]]:
    """Windows of 510 bases per CPU second; the peer slices dense (bases, 9) float32 one window at a time."""
    folder = scratch / "contig"
    dense = _store(folder)
    table = GenomeTable([folder], np.array([[0, 0, BASES]]))
    numbers = np.random.default_rng(1).integers(0, table.window_count(WIDTH), (BATCHES, BATCH))
    seconds = in_turn(
        {
            "ours": lambda: [table.gather(batch, WIDTH) for batch in numbers],
            "dense": lambda: [np.stack([_dense_item(dense, start) for start in batch]) for batch in numbers[:4]],
        },
        rounds=7,
    )
    ours, theirs = BATCHES * BATCH / seconds["ours"], 4 * BATCH / seconds["dense"]
    return [
        row("windows of 510", "windows/CPU s", ours, "dense, item by item", theirs, ">= 15, and >= 100,000/s"),
        _packed_row(scratch / "packed"),
    ]


def _packed_row(folder: Path) -> dict[str, Any]:
    """The same width from four bases to a byte with soft-masked stretches; the peer slices and folds text."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGTacgt", np.uint8)[generator.integers(0, 8, BASES)]
    text, lower = letters.tobytes(), letters >= ord("a")
    codes = np.frombuffer(text.upper().translate(bytes.maketrans(b"ACGT", bytes(range(4)))), np.uint8)
    folder.mkdir(parents=True)
    np.save(folder / PACKED, pack(codes))
    lower = np.repeat(lower[: BASES // 200], 200)  # stretches, not single letters
    for name, intervals in (("other", np.empty((0, 2), np.int64)), ("soft_mask", runs(lower))):
        spans = Spans.of(intervals, BASES)
        np.save(folder / f"{name}_first.npy", spans.first)
        np.save(folder / f"{name}_within.npy", spans.within)
    table = GenomeTable([folder], np.array([[0, 0, BASES]]))
    numbers = np.random.default_rng(1).integers(0, table.window_count(WIDTH), (BATCHES, BATCH))
    contig, length = np.zeros(BATCH, np.int64), np.full(BATCH, WIDTH)
    seconds = in_turn(
        {
            "ours": lambda: [table.read(contig, batch, length, soft_mask=True) for batch in numbers],
            "text": lambda: [[_text_item(text, start) for start in batch] for batch in numbers.tolist()],
        },
        rounds=7,
    )
    ours, theirs = (BATCHES * BATCH / seconds[side] for side in ("ours", "text"))
    return row(
        "windows of 510, 2 bits a base", "windows/CPU s", ours, "slices of text in memory", theirs, ">= 50,000/s"
    )


def _text_item(text: bytes, start: int) -> tuple[bytes, np.ndarray]:
    """Letters in upper case, and which of them were lower case."""
    window = text[start : start + WIDTH]
    return window.upper(), np.frombuffer(window, np.uint8) >= ord("a")


def _dense_item(dense: np.ndarray, start: int, temperature: float = 0.5) -> np.ndarray:
    """A window as the published data set gives it: (512, 9) float32, sharpened, between [CLS] and [SEP]."""
    item = np.zeros((WIDTH + 2, TOKENS), np.float32)
    powered = dense[start : start + WIDTH] ** np.float32(1 / temperature)
    item[1:-1] = powered / powered.sum(axis=1, keepdims=True)
    item[0, 1] = item[-1, 2] = 1
    return item


def _store(folder: Path) -> np.ndarray:
    """A random contig in our format; returns the same as dense float32 (bases, 9)."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, BASES).astype(np.uint8)
    pos0 = np.arange(7, BASES, VARIANT_EVERY, dtype=np.int32)
    frequencies = generator.dirichlet([1, 1, 1, 1], 6404).astype(np.float32)
    rows = generator.integers(0, len(frequencies), len(pos0)).astype(np.uint16)
    folder.mkdir()
    arrays: dict[str, np.ndarray] = {"codes": codes, "pos0": pos0, "row": rows, "frequencies": frequencies}
    for name, array in arrays.items():
        np.save(folder / ARRAYS[name], array)
    dense = np.zeros((BASES, TOKENS), np.float32)
    dense[np.arange(BASES), FIRST_BASE + codes] = 1
    dense[pos0, FIRST_BASE:] = frequencies[rows]
    return dense


def storage_rows(scratch: Path) -> list[dict[str, Any]]:
    """GB of 3.1 Gb with 10 M variants, from bytes per base and per variant measured on stored arrays."""
    folder = scratch / "stored"
    _store(folder)
    size = {name: (folder / file).stat().st_size - 128 for name, file in ARRAYS.items()}  # 128: header of .npy
    variants = len(range(7, BASES, VARIANT_EVERY))
    per_base, per_variant = size["codes"] / BASES, (size["pos0"] + size["row"]) / variants
    table = GENOME_ROWS * size["frequencies"] / 6404
    ours = (GENOME_BASES * per_base + GENOME_VARIANTS * per_variant + table) / 1e9
    packed = GENOME_BASES / 4 + 4 * (GENOME_REPEATS + 2 * GENOME_BASES / BLOCK)
    return [
        row("3.1 Gb + 10 M variants", "GB", ours, "dense 9 x float32", GENOME_BASES * TOKENS * 4 / 1e9, "<= 3.2 GB"),
        row(
            "3.1 Gb, 2 bits a base, 5 M repeats",
            "GB",
            packed / 1e9,
            "one byte per base",
            GENOME_BASES / 1e9,
            "<= 0.8 GB",
        ),
    ]
