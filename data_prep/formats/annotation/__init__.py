"""Gene annotation (GTF, GFF3 of any source) as transcripts with exons and coding parts."""

from data_prep.formats.annotation.read import Annotation, read_annotation
from data_prep.formats.annotation.transcript import Interval, Transcript

__all__ = ["Annotation", "Interval", "Transcript", "read_annotation"]
