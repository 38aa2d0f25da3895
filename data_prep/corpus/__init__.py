"""The corpus on disk: a folder with `manifest.json` and its data, written atomically, read without copying.

Reading: `open_corpus(path)`. Writing: `SequenceWriter` (kind `sequences`) or, for any other kind, `StagedFolder`.
"""

from data_prep.corpus.manifest import describe_source, tool_versions
from data_prep.corpus.ragged import Ragged
from data_prep.corpus.reader import KINDS, Corpus, open_corpus
from data_prep.corpus.sequences import SequenceTable
from data_prep.corpus.staging import StagedFolder
from data_prep.corpus.writer import SequenceWriter

__all__ = [
    "KINDS",
    "Corpus",
    "Ragged",
    "SequenceTable",
    "SequenceWriter",
    "StagedFolder",
    "describe_source",
    "open_corpus",
    "tool_versions",
]
