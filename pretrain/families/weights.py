"""Where the weights of each release are, as releases and cards name it. Nothing was downloaded here."""

from __future__ import annotations

from typing import NamedTuple

_NT = "InstaDeepAI/nucleotide-transformer"
_HYENA = "LongSafari/hyenadna"


class Weights(NamedTuple):
    """The weights of one release.

    Attributes:
        repository: on the Hugging Face hub; empty where the release is elsewhere.
        file: its name there.
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
        return f"{self.file} of https://huggingface.co/{self.repository}" + (
            f", revision {self.revision}" if self.revision else ""
        )

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
    "gpn_convnet": Weights("songlab/gpn-brassicales"),
    "hyenadna_medium_160k": Weights(f"{_HYENA}-medium-160k-seqlen-hf", "model.safetensors"),
    "hyenadna_medium_450k": Weights(f"{_HYENA}-medium-450k-seqlen-hf", "model.safetensors"),
    "evo1_8k": Weights("togethercomputer/evo-1-8k-base", "model-0000*-of-00003.safetensors", revision="1.1_fix"),
    "evo1_131k": Weights("togethercomputer/evo-1-131k-base", "model-0000*-of-00003.safetensors", revision="1.1_fix"),
}


def where(name: str) -> str:
    """Say where the weights of a family are, and what is known of their checksum."""
    found = WEIGHTS.get(name)
    if found is None:
        return "no address is known here"
    return f"{found.place()} ({f'sha256 {found.sha256}' if found.sha256 else 'no sha256 is published'})"
