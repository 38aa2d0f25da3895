"""Keys of ``corpus`` without effect: each is an error that names the key and the reason."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.corpus import Corpus
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.config.corpus import Sampling
from pretrain.errors import PolymeraseError
from pretrain.tokenizers import Measured, Tokenizer


def check_effects(
    settings: CorpusSettings, corpora: Sequence[Corpus], tokenizer: Tokenizer, *, weighs_tokens: bool = True
) -> None:
    """Refuse keys that have no effect on any of these corpora or with this tokenizer.

    Args:
        settings: the section ``corpus`` of the run.
        corpora: all that the run reads.
        tokenizer: of the run.
        weighs_tokens: whether an objective of the run weights its targets.

    Raises:
        PolymeraseError: names the key and the reason.
    """
    rna = [corpus for corpus in corpora if _is_rna(corpus)]
    masked = any(has_soft_mask(corpus) for corpus in corpora)
    stride = 1 if isinstance(tokenizer.lengths, Measured) else tokenizer.lengths.stride
    others = (
        (
            settings.weight != 1.0 and len(corpora) == 1,
            "weight",
            "there is no other corpus (corpus.extra)",
        ),
        (
            settings.temperature != 1.0 and settings.temperature_mode == "none",
            "temperature",
            "temperature_mode is none; choose a mode",
        ),
        (
            settings.crop != "random" and settings.too_long == "skip",
            "crop",
            "too_long=skip leaves long sequences out; set only one of the two",
        ),
        (
            settings.soft_mask_weight != 1.0 and masked and not weighs_tokens,
            "soft_mask_weight",
            "no objective of this run predicts tokens",
        ),
        (settings.partial_codon != "error" and stride == 1, "partial_codon", f"{tokenizer.name} does not read codons"),
        (
            settings.reverse_complement_rna and not (rna and settings.reverse_complement),
            "reverse_complement_rna",
            "no RNA is reverse-complemented",
        ),
    )
    idle = [*idle_with(settings, corpora), *((key, reason) for holds, key, reason in others if holds)]
    if idle:
        key, reason = idle[0]
        raise PolymeraseError(f"corpus.{key} has no effect: {reason}")
    if settings.reverse_complement and rna_alone(corpora) and not settings.reverse_complement_rna:
        raise PolymeraseError(
            f"corpus.reverse_complement={settings.reverse_complement}: {rna[0].folder} holds RNA, whose other strand "
            "is another molecule; leave it out, or set corpus.reverse_complement_rna=true"
        )


def idle_with(settings: CorpusSettings, corpora: Sequence[Corpus]) -> list[tuple[str, str]]:
    """List (key, reason) of each key that corpora of these kinds do not use."""
    kinds = {corpus.kind for corpus in corpora}
    genomes = bool(kinds & {"genome", "allele_frequencies"})
    masked = any(has_soft_mask(corpus) for corpus in corpora)
    keep = "build the corpus with --keep-case"
    no_alleles = "only allele-frequency corpora have frequencies"
    no_genome = "a corpus of sequences has no windows"
    keys = (
        (settings.window is not None and not genomes, "window", no_genome),
        (settings.sampling != Sampling() and not genomes, "sampling", no_genome),
        (settings.temperature != 1.0 and "allele_frequencies" not in kinds, "temperature", no_alleles),
        (settings.temperature_mode != "none" and "allele_frequencies" not in kinds, "temperature_mode", no_alleles),
        (settings.crop != "random" and "sequences" not in kinds, "crop", "windows of genomes are never cropped"),
        (
            settings.balance == "cluster"
            and not any("cluster" in corpus.manifest.get("columns", ()) for corpus in corpora),
            "balance",
            "no corpus has the column cluster; python -m data_prep split CORPUS --by similarity stores it",
        ),
        (settings.too_long != "crop" and "sequences" not in kinds, "too_long", "windows of genomes are never too long"),
        (
            settings.soft_mask_weight != 1.0 and not masked,
            "soft_mask_weight",
            f"no letter of this corpus is soft-masked; {keep}",
        ),
        (not settings.upper_case and not masked, "upper_case", f"the case of the source was not kept; {keep}"),
    )
    return [(key, reason) for holds, key, reason in keys if holds]


def rna_alone(corpora: Sequence[Corpus]) -> bool:
    """Whether all of them hold RNA, whose other strand is another molecule."""
    return all(map(_is_rna, corpora))


def _is_rna(corpus: Corpus) -> bool:
    return corpus.kind == "sequences" and corpus.manifest.get("alphabet") == "rna"


def has_soft_mask(corpus: Corpus) -> bool:
    """Whether the case of the source was kept."""
    return "soft_mask" in corpus.manifest.get("columns", ())
