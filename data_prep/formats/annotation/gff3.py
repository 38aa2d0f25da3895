"""GFF3: attributes are `key=value;` pairs with percent-encoding; rows name their parent, in any order."""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.rows import ROLES, Row, add_row, text
from data_prep.formats.annotation.transcript import TranscriptInfo, TranscriptRows

Attributes = dict[bytes, list[bytes]]
KEPT = (b"Parent", b"Name", b"gene_id", b"gene_name", b"biotype", b"transcript_type", b"tag")


def parse_attributes(attributes: bytes) -> Attributes:
    """Values of every key. Commas separate values and semicolons pairs before decoding, so %2C and %3B are text."""
    values: Attributes = {}
    for pair in attributes.split(b";"):
        key, equals, value = pair.strip().partition(b"=")
        if equals:
            values[key] = [unquote_to_bytes(part) if b"%" in part else part for part in value.split(b",")]
    return values


def collect_gff3(path: str, rows: Iterator[Row]) -> tuple[dict[str, TranscriptRows], dict[str, TranscriptInfo]]:
    """Rows and attributes by transcript id (the `ID` that exons and CDS name as parent, without its `transcript:`).

    A transcript whose own row is missing has no entry among the attributes.
    """
    found: dict[bytes, TranscriptRows] = {}
    features: dict[bytes, Attributes] = {}
    for row in rows:
        attributes = parse_attributes(row.attributes)
        if row.type not in ROLES:
            if b"ID" in attributes:
                features[attributes[b"ID"][0]] = {key: attributes[key] for key in KEPT if key in attributes}
            continue
        if not attributes.get(b"Parent", [b""])[0]:
            raise DataPrepError(
                f"{path} line {row.number}: {row.type.decode('utf-8', 'replace')} row without Parent; "
                "a GFF3 from GENCODE or Ensembl names the transcript there"
            )
        for parent in attributes[b"Parent"]:
            if parent not in found:
                found[parent] = TranscriptRows()
            add_row(found[parent], row)
    infos = {
        _bare(text(path, 0, parent)): _info(path, features[parent], features) for parent in found if parent in features
    }
    return {_bare(text(path, 0, parent)): found[parent] for parent in found}, infos


def _info(path: str, own: Attributes, features: dict[bytes, Attributes]) -> TranscriptInfo:
    parent = own.get(b"Parent", [b""])[0]
    gene = features.get(parent, {})

    def first(attributes: Attributes, *keys: bytes) -> str:
        return next((text(path, 0, attributes[key][0]) for key in keys if key in attributes), "")

    return TranscriptInfo(
        gene_id=first(own, b"gene_id") or first(gene, b"gene_id") or _bare(text(path, 0, parent)),
        gene_name=first(own, b"gene_name") or first(gene, b"gene_name", b"Name"),
        biotype=first(own, b"transcript_type", b"biotype"),
        tags=frozenset(text(path, 0, tag) for tag in own.get(b"tag", [])),
    )


def _bare(identifier: str) -> str:
    """Ensembl writes `transcript:ENST…` and `gene:ENSG…`."""
    return identifier.removeprefix("transcript:").removeprefix("gene:")
