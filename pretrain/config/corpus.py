"""The section ``corpus`` of a run's YAML: what is read, and how. Its base is in ``section``."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pretrain.config.section import Count, Fraction, NonNegative, Positive, PositiveFloat, Section


class ExtraCorpus(Section):
    """One more corpus in the mixture, for example the original corpus replayed during continued pretraining."""

    path: str
    weight: PositiveFloat = 1.0


class Sampling(Section):
    """Genomes: which windows are samples. They are drawn when they are read, never stored."""

    # uniform: any window. cut_and_sample: half of them cut one behind the other, half of any length at any place
    # (DNABERT). chunks: cut with an overlap (Nucleotide Transformer). regions: steps through named intervals (GPN).
    # intervals: one around each named interval (HyenaDNA). documents: whole contigs, cut where they are too long (Evo).
    draw: Literal["uniform", "cut_and_sample", "chunks", "regions", "intervals", "documents"] = "uniform"
    shortest: Positive | None = None  # cut_and_sample, documents: bases of the shortest window (5, 1)
    overlap: Count | None = None  # chunks: bases that neighbors share (50)
    step: Positive | None = None  # regions: bases from one window to the next (half a window)
    regions: str | None = None  # regions, intervals: name of the set of intervals in the corpus (balanced, intervals)
    random_start: bool = False  # chunks: begin anywhere in the overlap; intervals: anywhere in one that is too long

    @model_validator(mode="after")
    def _every_key_has_an_effect(self) -> Sampling:
        used = {
            "shortest": ("cut_and_sample", "documents"),
            "overlap": ("chunks",),
            "step": ("regions",),
            "regions": ("regions", "intervals"),
            "random_start": ("chunks", "intervals"),
        }
        for key, draws in used.items():
            if getattr(self, key) and self.draw not in draws:
                raise ValueError(f"{key} has no effect with draw={self.draw}, only with {' and '.join(draws)}")
        return self


class Corpus(Section):
    """The data. Samples of several corpora are drawn in proportion to their weights."""

    path: str | None = None
    weight: PositiveFloat = 1.0
    extra: list[ExtraCorpus] = []
    too_long: Literal["crop", "skip"] = "crop"  # sequences of more tokens than max_tokens
    crop: Literal["random", "keep_start", "keep_end"] = "random"
    max_tokens: Positive | None = None  # specials included; default: model.max_position_embeddings
    label_slot: bool = False  # RNAErnie: the RNA type stands behind each sequence, [CLS] letters [IND] TYPE [SEP]
    window: Positive | None = None  # genomes: bases per window; default: what max_tokens holds
    sampling: Sampling = Sampling()  # genomes: which windows
    reverse_complement: Fraction = (
        0.0  # share of DNA samples read on the other strand, weights and alleles turned along
    )
    reverse_complement_rna: bool = False  # do so with RNA too, whose other strand is another molecule
    soft_mask_weight: NonNegative = 1.0  # what targets count for that were lower case in the source (--keep-case)
    upper_case: bool = True  # false: lower case of the source is given to tokenizers that tell it apart
    # cluster: one member of each cluster per epoch, each once before any comes again; held-out samples are all read.
    # The column `cluster` is stored by `data_prep split --by similarity` or `--clusters FILE`; rows without are alone
    # cluster_if_known: the same where a corpus has that column, said in the run's first lines where it has none
    balance: Literal["none", "cluster", "cluster_if_known"] = "none"
    partial_codon: Literal["error", "crop"] = "error"  # codons: sequences whose length is no multiple of three
    temperature: PositiveFloat = 1.0  # soft_label: see temperature_mode
    temperature_mode: Literal["none", "power", "softmax_of_probs"] = "none"
