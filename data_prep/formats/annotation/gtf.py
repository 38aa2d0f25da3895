"""GTF: attributes are `key "value";` pairs; every row names its transcript."""

import re
from collections import defaultdict
from collections.abc import Iterator

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.rows import ROLES, Row, add_row, text
from data_prep.formats.annotation.transcript import TranscriptInfo, TranscriptRows

# Values may be quoted (then a semicolon is text) or bare; keys may repeat (tag).
ATTRIBUTE = re.compile(rb'\s*([^\s";]+)\s+(?:"([^"]*)"|([^";\s]+))\s*(?:;|$)')
QUICK_ID = re.compile(rb'(?:^|;)\s*transcript_id\s+"([^";]+)"')  # most rows are exons: look at their id only


def parse_attributes(attributes: bytes) -> dict[bytes, list[bytes]]:
    """All values of every key, in order."""
    values: dict[bytes, list[bytes]] = defaultdict(list)
    for key, quoted, bare in ATTRIBUTE.findall(attributes):
        values[key].append(quoted or bare)
    return values


def collect_gtf(path: str, rows: Iterator[Row]) -> tuple[dict[str, TranscriptRows], dict[str, TranscriptInfo]]:
    """Rows and attributes by transcript id.

    The `transcript` row decides the attributes; a transcript without one gets what its other rows say together, so
    that the order of lines never matters.
    """
    found: dict[bytes, TranscriptRows] = {}
    decided: dict[bytes, TranscriptInfo] = {}
    gathered: dict[bytes, dict[bytes, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        is_transcript = row.type == b"transcript"
        if not is_transcript and row.type not in ROLES:
            continue
        transcript = _transcript_id(path, row)
        if is_transcript:
            decided[transcript] = _info(path, row.number, parse_attributes(row.attributes))
            gathered.pop(transcript, None)
            continue
        if transcript not in found:
            found[transcript] = TranscriptRows()
        if transcript not in decided:
            for key, values in parse_attributes(row.attributes).items():
                gathered[transcript][key].update(values)
        add_row(found[transcript], row)
    for transcript, sets in gathered.items():
        decided[transcript] = _info(path, 0, {key: sorted(values) for key, values in sets.items()})
    return {text(path, 0, t): found[t] for t in found}, {text(path, 0, t): decided[t] for t in found}


def _transcript_id(path: str, row: Row) -> bytes:
    quick = QUICK_ID.search(row.attributes)
    if quick:
        return quick[1]
    identifier = parse_attributes(row.attributes).get(b"transcript_id", [b""])[0]
    if not identifier:
        raise DataPrepError(
            f"{path} line {row.number}: {row.type.decode('utf-8', 'replace')} row without transcript_id; "
            "a GTF from GENCODE or Ensembl has it on every row below the gene"
        )
    return identifier


def _info(path: str, number: int, attributes: dict[bytes, list[bytes]]) -> TranscriptInfo:
    def first(*keys: bytes) -> str:
        return next((text(path, number, attributes[key][0]) for key in keys if attributes.get(key)), "")

    return TranscriptInfo(
        gene_id=first(b"gene_id"),
        gene_name=first(b"gene_name"),
        biotype=first(b"transcript_type", b"transcript_biotype"),
        tags=frozenset(text(path, number, tag) for tag in attributes.get(b"tag", [])),
    )
