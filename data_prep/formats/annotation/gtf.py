"""GTF: attributes are `key "value";` pairs; every row names its transcript."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.biotypes import settle_biotype
from data_prep.formats.annotation.collected import Collected
from data_prep.formats.annotation.rows import ROLES, Places, Row, rows_at, text
from data_prep.formats.annotation.transcript import TranscriptInfo, TranscriptRows

# Values may be quoted (then a semicolon is text) or bare; keys may repeat (tag).
ATTRIBUTE = re.compile(rb'\s*([^\s";]+)\s+(?:"([^"]*)"|([^";\s]+))\s*(?:;|$)')
QUICK_ID = re.compile(rb'(?:^|;)\s*transcript_id\s+"([^";]+)"')  # most rows are exons: look at their id only
USUAL_ID = b'; transcript_id "'
EXON_NUMBER = re.compile(rb'exon_number\s+"?(\d{1,9})"?\s*(?:;|$)')
BARE_ID = re.compile(rb"\s*[^\s;\"=]+\s*;?\s*")  # AUGUSTUS and BRAKER: genes and transcripts have an id and no key
NO_START = b"\n"  # no line begins with it
TRANSCRIPT_TYPES = {b"transcript", b"mRNA", b"mrna"}
OWN_BIOTYPE = (b"transcript_type", b"transcript_biotype")
GENE_BIOTYPE = (b"gene_type", b"gene_biotype", b"biotype")
GENE_NAME = (b"gene_name", b"gene_symbol", b"gene")
KEPT = frozenset([b"transcript_id", b"gene_id", b"tag", *OWN_BIOTYPE, *GENE_BIOTYPE, *GENE_NAME])

Values = dict[bytes, list[bytes]]


def parse_attributes(attributes: bytes) -> dict[bytes, list[bytes]]:
    """All values of every key that is used, in order."""
    values: dict[bytes, list[bytes]] = {}
    for key, quoted, bare in ATTRIBUTE.findall(attributes):
        if key in KEPT:
            values.setdefault(key, []).append(quoted or bare.strip(b"'"))
    return values


def collect_gtf(path: str, rows: Iterator[Row]) -> Collected:
    """Rows and attributes by transcript id.

    The `transcript` row decides the attributes; a transcript without one gets what its other rows say together, so
    that the order of lines never matters. Exon-like rows with an empty id (pseudogenes of RefSeq) are counted.
    """
    found: dict[bytes, Places] = defaultdict(dict)
    decided: dict[bytes, Values] = {}
    gathered: dict[bytes, dict[bytes, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    sources: dict[bytes, bytes] = {}
    genes: dict[bytes, Values] = {}
    gene_rows, nameless = Counter[bytes](), 0
    # Most rows belong to the transcript of the row before, and their attributes begin as its attributes do.
    transcript, beginning = b"", NO_START
    last, places, here = b"", Places(), TranscriptRows(b"", b"")
    for row in rows:
        _, contig, source, kind, start, end, strand, attributes = row
        role = ROLES[kind]
        if not role and kind == b"gene":
            values = parse_attributes(attributes)
            for gene in values.get(b"gene_id", []):
                genes[gene] = values
                gene_rows[gene] += 1
            continue
        if not role and kind not in TRANSCRIPT_TYPES:
            continue
        if not attributes.startswith(beginning):
            transcript, beginning = _transcript_id(path, row)
        if not transcript:
            nameless += bool(role)
            continue
        if transcript != last:
            last, places = transcript, found[transcript]
            here = rows_at(places, row)
            sources.setdefault(transcript, source)
        elif here.contig != contig or here.strand != strand:
            here = rows_at(places, row)
        if not role:
            here.spans.extend((start, end))
            decided.setdefault(transcript, parse_attributes(attributes))
            gathered.pop(transcript, None)
            continue
        if transcript not in decided:
            for key, some in parse_attributes(attributes).items():
                gathered[transcript][key].update(some)
        ends = getattr(here, role)
        ends.append(start)
        ends.append(end)
        if role == "exons":
            at = attributes.find(b"exon_number")  # much faster than a regular expression
            number = EXON_NUMBER.search(attributes, at) if at >= 0 else None
            here.exon_numbers.append(int(number[1]) if number else 0)
    together = ((name, {key: sorted(some) for key, some in sets.items()}) for name, sets in gathered.items())
    infos = {name: _info(path, values, sources[name], genes) for name, values in chain(decided.items(), together)}
    return Collected(
        rows={text(path, 0, name): list(places.values()) for name, places in found.items()},
        infos={text(path, 0, name): info for name, info in infos.items()},
        gene_rows={text(path, 0, gene): count for gene, count in gene_rows.items()},
        circular={},
        dropped={"rows_without_transcript_id": nameless} if nameless else {},
    )


def _transcript_id(path: str, row: Row) -> tuple[bytes, bytes]:
    """The id, and attributes up to its end: rows that begin with them have the same id (`NO_START`: not known).

    The id is empty for a row that has an empty one, and for a transcript row without attributes.
    """
    attributes = row.attributes
    at = attributes.find(USUAL_ID)
    if at > 0 and attributes.find(b"transcript_id", 0, at) < 0:  # the first of its kind, behind another pair
        end = attributes.find(b'"', at + len(USUAL_ID))
        name = attributes[at + len(USUAL_ID) : end]
        if end > 0 and name and b";" not in name:
            return name, attributes[: end + 1]
    quick = QUICK_ID.search(attributes)
    if quick:
        return quick[1], NO_START
    found = parse_attributes(attributes).get(b"transcript_id")
    if found:
        return found[0], NO_START
    if ROLES[row.type] or not BARE_ID.fullmatch(attributes):
        raise DataPrepError(
            f"{path} line {row.number}: {row.type.decode('utf-8', 'replace')} row without transcript_id; "
            "a GTF has it on every row below the gene"
        )
    return b"", NO_START


def _info(path: str, values: Values, source: bytes, genes: dict[bytes, Values]) -> TranscriptInfo:
    def first(some: Values, *keys: bytes) -> str:
        for key in keys:
            if (found := some.get(key)) and found[0]:
                return text(path, 0, found[0])
        return ""

    gene = genes.get(next(iter(values.get(b"gene_id", [])), b""), {})
    biotype, origin = settle_biotype(
        first(values, *OWN_BIOTYPE),
        source.decode("utf-8", "replace"),
        first(values, *GENE_BIOTYPE) or first(gene, *GENE_BIOTYPE),
    )
    gene_id = first(values, b"gene_id")
    return TranscriptInfo(
        gene_id=gene_id,
        gene_key=gene_id,
        gene_name=first(values, *GENE_NAME),
        biotype=biotype,
        biotype_from=origin,
        tags=frozenset(text(path, 0, tag) for tag in values.get(b"tag", [])),
    )
