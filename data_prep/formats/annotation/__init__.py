"""Gene annotation (GTF, GFF3; GENCODE and Ensembl dialects) as transcripts with exons and coding parts."""

from data_prep.formats.annotation.read import Annotation, read_annotation
from data_prep.formats.annotation.transcript import Transcript

__all__ = ["Annotation", "Transcript", "read_annotation"]
