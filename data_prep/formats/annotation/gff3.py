"""GFF3: attributes are `key=value;` pairs with percent-encoding; rows name their parent, in any order."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.biotypes import settle_biotype
from data_prep.formats.annotation.collected import Collected
from data_prep.formats.annotation.rows import ROLES, Places, Row, rows_at, text
from data_prep.formats.annotation.transcript import TranscriptInfo

Attributes = dict[bytes, list[bytes]]
OWN_BIOTYPE = (b"transcript_type", b"transcript_biotype", b"biotype")
GENE_BIOTYPE = (b"gene_type", b"gene_biotype", b"biotype")
PARENT, SEMICOLON = b"Parent=", ord(";")
KEPT = {b"Parent", b"Name", b"gene_id", b"gene_name", b"gene", b"tag", *OWN_BIOTYPE, *GENE_BIOTYPE}
PROTEINS = {b"protein", b"polypeptide"}  # TAIR names the protein as a second parent of the CDS
# RefSeq marks ends that lie outside the sequence; which end of the transcript it is depends on the strand.
OPEN_ENDS = {b"start_range": (b"mRNA_start_NF", b"mRNA_end_NF"), b"end_range": (b"mRNA_end_NF", b"mRNA_start_NF")}


@dataclass(slots=True)
class _Feature:
    """A row that has an ID and is no exon, CDS or UTR."""

    type: bytes
    source: bytes
    attributes: Attributes
    spans: dict[tuple[bytes, bytes], list[int]] = field(default_factory=dict)  # start, end of its rows, by place

    @property
    def rows(self) -> int:
        """How many rows have this ID."""
        return sum(map(len, self.spans.values())) // 2


def parse_attributes(attributes: bytes) -> Attributes:
    """Values of every key. Commas separate values and semicolons pairs before decoding, so %2C and %3B are text."""
    values: Attributes = {}
    for pair in attributes.split(b";"):
        key, equals, value = pair.strip().partition(b"=")
        if equals:
            parts = [part.strip(b'"') for part in value.split(b",")]  # quotes that some programs put there
            values[key] = [unquote_to_bytes(part) if b"%" in part else part for part in parts]
    return values


def parents_of(attributes: bytes) -> list[bytes]:
    """The values of `Parent`, [b""] where there is none. Most rows are exons, of which nothing else is needed."""
    before, _, behind = attributes.partition(PARENT)  # faster than a regular expression
    value = behind.partition(b";")[0].rstrip()
    odd = (before and before[-1] != SEMICOLON) or not value or b"%" in value or b'"' in value or PARENT in behind
    return parse_attributes(attributes).get(b"Parent", [b""]) if odd else value.split(b",")


def collect_gff3(path: str, rows: Iterator[Row]) -> Collected:
    """Rows and attributes by transcript id (the `ID` that exons and CDS name as parent, without its `transcript:`)."""
    found: dict[bytes, Places] = defaultdict(dict)
    features: dict[bytes, _Feature] = {}
    circular: dict[bytes, int] = {}
    for row in rows:
        number, contig, _, kind, start, end, strand, attributes = row
        role = ROLES[kind]
        if not role:
            if b"ID=" not in attributes and b"Is_circular=" not in attributes:
                continue
            values = parse_attributes(attributes)
            if values.get(b"Is_circular") == [b"true"]:
                circular[contig] = end
            for name in values.get(b"ID", [])[:1]:
                _note(features, name, row, values)
            continue
        parents = parents_of(attributes)
        if not parents[0]:
            raise DataPrepError(
                f"{path} line {number}: {kind.decode('utf-8', 'replace')} row without Parent; "
                "a GFF3 names the transcript (or the gene) there"
            )
        place = (contig, strand)
        for parent in parents:
            places = found[parent]
            here = places[place] if place in places else rows_at(places, row)
            ends = getattr(here, role)
            ends.append(start)
            ends.append(end)
    kept = [name for name in found if name not in features or features[name].type not in PROTEINS]
    for name in features.keys() & found.keys():
        if not features[name].type.endswith(b"gene"):
            for place, spans in features[name].spans.items():
                if place in found[name]:
                    found[name][place].spans.extend(spans)
    names = _names(path, kept)
    return Collected(
        rows={names[name]: list(found[name].values()) for name in kept},
        infos={names[name]: _info(path, name, features) for name in kept if name in features},
        gene_rows={
            text(path, 0, name): sum(map(len, feature.spans.values())) // 2 for name, feature in features.items()
        },
        circular={text(path, 0, name): size for name, size in circular.items()},
        dropped={},
    )


def _note(features: dict[bytes, _Feature], name: bytes, row: Row, attributes: Attributes) -> None:
    if name not in features:
        features[name] = _Feature(row.type, row.source, {key: attributes[key] for key in KEPT & attributes.keys()})
    known = features[name]
    known.spans.setdefault((row.contig, row.strand), []).extend((row.start, row.end))
    for key in OPEN_ENDS.keys() & attributes.keys():
        known.attributes[b"tag"] = [*known.attributes.get(b"tag", []), OPEN_ENDS[key][row.strand == b"-"]]


def _names(path: str, ids: list[bytes]) -> dict[bytes, str]:
    """Ids as text, without Ensembl's prefix unless two would become one."""
    whole = {name: text(path, 0, name) for name in ids}
    bare = {name: _bare(shown) for name, shown in whole.items()}
    return bare if len(set(bare.values())) == len(bare) else whole


def _info(path: str, name: bytes, features: dict[bytes, _Feature]) -> TranscriptInfo:
    own = features[name]
    parent = own.attributes.get(b"Parent", [b""])[0]
    gene = features[parent].attributes if parent in features else {}

    def first(attributes: Attributes, *keys: bytes) -> str:
        return next((text(path, 0, attributes[key][0]) for key in keys if attributes.get(key, [b""])[0]), "")

    told = first(own.attributes, *OWN_BIOTYPE)
    if not told and own.type.startswith(b"pseudogen"):
        told = "pseudogene"
    biotype, origin = settle_biotype(
        told, own.source.decode("utf-8", "replace"), first(own.attributes, *GENE_BIOTYPE) or first(gene, *GENE_BIOTYPE)
    )
    # The CDS of bacteria are children of the gene itself.
    parent_name = text(path, 0, name if own.type.endswith(b"gene") else parent)
    return TranscriptInfo(
        gene_id=first(own.attributes, b"gene_id") or first(gene, b"gene_id") or _bare(parent_name),
        gene_key=parent_name,
        gene_name=first(own.attributes, b"gene_name") or first(gene, b"gene_name", b"Name"),
        biotype=biotype,
        biotype_from=origin,
        tags=frozenset(text(path, 0, tag) for tag in own.attributes.get(b"tag", [])),
    )


def _bare(identifier: str) -> str:
    """Ensembl writes `transcript:ENST…` and `gene:ENSG…`."""
    return identifier.removeprefix("transcript:").removeprefix("gene:")
