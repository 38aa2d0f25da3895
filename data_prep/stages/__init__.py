"""One module per stage of the command line: `add_arguments(parser)` and `run(args) -> int`.

The module's docstring is the help text; its last paragraph is an example.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

# stage name -> what the overview says of it; the module is data_prep.stages.<name with underscores>
STAGES = {
    "fasta": "any FASTA or Stockholm file, compressed or not, to a corpus",
    "rnacentral": "RNAcentral FASTA to a corpus with RNA types",
    "utr3": "3'UTR corpus from a genome and its annotation",
    "utr5": "5'UTR corpus from a genome and its annotation",
    "allele-frequencies": "genome and population VCFs to a corpus of allele frequencies",
    "genomes": "genomes to a corpus that windows are drawn from while a model trains",
    "bpe": "train byte-pair tokens on a corpus",
    "fold": "add secondary structure and minimum free energy to a corpus",
    "motifs": "validate, normalize or mine motif lists",
    "split": "divide a corpus into train and validation anew (hash, column or clusters)",
    "select": "take a part of a corpus: by values, one row of a cluster, one split",
    "sample": "a small synthetic corpus of structured RNAs",
    "inspect": "what is in a corpus: table, plots, one HTML page",
    "card": "the card of a corpus, for a hub: numbers, stages, drops, sources",
    "fetch": "download public raw files by name and release",
    "build": "run a recipe: the stages of a published corpus, in order",
}


@cache
def stages_of_plugins() -> dict[str, EntryPoint]:
    """Stages that other packages bring: entry points of the group ``polymerase.stages``, name -> module."""
    return {point.name: point for point in entry_points(group="polymerase.stages") if point.name not in STAGES}
