"""Where the weights of each release are, as releases and cards name it. Nothing was downloaded here."""

from __future__ import annotations

from typing import NamedTuple

_NT = "InstaDeepAI/nucleotide-transformer"
_HYENA = "LongSafari/hyenadna"


class Weights(NamedTuple):
    """The weights of one release.

    Attributes:
        repository: on the Hugging Face hub; empty where the release is elsewhere.
        file: its name there; empty where no source states it.
        elsewhere: where it is, if not on the hub.
        revision: on the hub, where it is not the main one.
        sha256: of the file; empty where the release states none that was found.
    """

    repository: str = ""
    file: str = "pytorch_model.bin"
    elsewhere: str = ""
    revision: str = ""
    sha256: str = ""

    def place(self) -> str:
        """Say in words where the file is."""
        if not self.repository:
            return f"{self.file}: {self.elsewhere}"
        file = f"{self.file} of " if self.file else ""
        revision = f", revision {self.revision}" if self.revision else ""
        return f"{file}https://huggingface.co/{self.repository}{revision}"

    def download(self, out: str) -> list[str]:
        """Return the command that gets the files, or no words where a hand must do it."""
        if not self.repository:
            return []
        return ["hf", "download", self.repository, *(["--revision", self.revision] if self.revision else []),
                "--local-dir", out]  # fmt: skip


WEIGHTS: dict[str, Weights] = {
    "ernie_rna": Weights(file="ERNIE-RNA_pretrain.pt", elsewhere="behind a link of the release's repository"),
    "rnaernie": Weights(
        file="BERT,ERNIE,MOTIF,PROMPT/checkpoint_final/model_state.pdparams",
        elsewhere="behind a link of the release's repository",
    ),
    "rnaernie2": Weights("LLM-EDA/RNAErnie", ""),  # card of Taykhoom/RNAErnie2, a port
    "utr_lm": Weights(  # README of the release: the file of its command for ribosome load (all three objectives)
        file="Model/Pretrained/ESM2SISS_FS4.1_fiveSpeciesCao_6layers_16heads_128embedsize_4096batchToks_lr1e-05_"
        "supervisedweight1.0_structureweight1.0_MLMLossMin_epoch93.pkl",
        elsewhere="in https://github.com/a96123155/UTR-LM",
    ),
    **{
        f"utrbert_{k}mer": Weights(file=f"{k}-new-12w-0/pytorch_model.bin", elsewhere="figshare article 22851119")
        for k in (3, 4, 5, 6)
    },
    **{
        f"dnabert_{k}mer": Weights(
            file=f"{k}-new-12w-0.zip", elsewhere="behind a link of the release's README, section 3.2"
        )
        for k in (3, 4, 5, 6)
    },
    "mutbert": Weights("JadenLong/MutBERT"),
    **{
        f"rinalmo_{size}": Weights(file=f"rinalmo_{size}_pretrained.pt", elsewhere="Zenodo record 15043668")
        for size in ("giga", "mega", "micro")
    },
    "nt_v1_500m": Weights(f"{_NT}-500m-human-ref"),
    "nt_v1_2b5": Weights(f"{_NT}-2.5b-multi-species", "pytorch_model-0000*-of-00002.bin"),
    **{f"nt_v2_{size}": Weights(f"{_NT}-v2-{size}-multi-species") for size in ("50m", "100m", "250m", "500m")},
    "dnabert2": Weights("zhihan1996/DNABERT-2-117M"),
    "methylbert": Weights("hanyangii/methylbert_hg19_12l"),
    "methylbert_6l": Weights("hanyangii/methylbert_hg19_6l"),
    "gpn_brassicales": Weights("songlab/gpn-brassicales", ""),  # README of songlab-cal/gpn, as the next
    "gpn_promoter": Weights("songlab/gpn-animal-promoter", ""),
    **{  # card of the release: a collection of all -hf folders
        f"hyenadna_{family}": Weights(f"{_HYENA}-{folder}-hf", "model.safetensors")
        for family, folder in (
            ("tiny_1k_d128", "tiny-1k-seqlen"),
            ("tiny_1k", "tiny-1k-seqlen-d256"),
            ("small_32k", "small-32k-seqlen"),
            ("medium_160k", "medium-160k-seqlen"),
            ("medium_450k", "medium-450k-seqlen"),
            ("large_1m", "large-1m-seqlen"),
        )
    },
    "evo1_8k": Weights("togethercomputer/evo-1-8k-base", "model-0000*-of-00003.safetensors", revision="1.1_fix"),
    "evo1_131k": Weights("togethercomputer/evo-1-131k-base", "model-0000*-of-00003.safetensors", revision="1.1_fix"),
}
# why there is nothing to compare with, and where that is read
UNPUBLISHED = {
    "rinalmo_nano": "the release configures it and publishes no weights of it (Zenodo record 15043668)",
    **dict.fromkeys(
        ("helm_mlm", "helm_clm"),
        "https://github.com/johnsonandjohnson/HELM holds code without weights and its readme names none; the paper "
        "(arXiv 2410.12459) announces them",
    ),
    "gpn_convnet": "the README of https://github.com/songlab-cal/gpn names no weights of its default encoder, only "
    "those of gpn_brassicales and gpn_promoter",
}


def where(name: str) -> str:
    """Say where the weights of a family are, and what is known of their checksum; or why there are none."""
    found = WEIGHTS.get(name)
    if found is None:
        return f"none published: {UNPUBLISHED[name]}"
    return f"{found.place()} ({f'sha256 {found.sha256}' if found.sha256 else 'no sha256 is published'})"
