"""Running the UTR stages on small inputs."""

from data_prep.__main__ import main
from data_prep.corpus import open_corpus


def build(out, *arguments, stage="utr3"):
    """Run a stage that must succeed; returns the corpus. Toys are too small to hold genes out unless asked for."""
    if "--validation" not in arguments:
        arguments = (*arguments, "--validation", 0)
    assert main([stage, *map(str, arguments), "--out", str(out)]) == 0
    return open_corpus(out)


def rows(corpus, split="train"):
    """{id: sequence} of a split."""
    table = corpus.split(split)
    every = range(len(table))
    return dict(zip(table.ids(every), (row.decode() for row in table.gather(every).rows()), strict=True))


def stage_filters(corpus):
    """{filter: {reason: dropped}} of the corpus's last stage."""
    return {entry["filter"]: entry["dropped"] for entry in corpus.manifest["stages"][-1]["filters"]}


def folder_bytes(folder):
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
