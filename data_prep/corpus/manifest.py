"""The manifest: what a corpus records about itself.

`manifest.json` holds no time, host or absolute path: the same input and parameters give the same bytes. Keys, in order:
format, version, kind, fingerprint, recipe, alphabet, columns, sources, tools, stages (each with its parameters and its
filters: kept and dropped counts by reason), splits (statistics and shards), files (bytes and sha256 of each data file).
"""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

from data_prep.corpus.files import canonical_json, read_json, sha256_of_file
from data_prep.errors import DataPrepError

FORMAT = "polymerase-corpus"
VERSION = 1
FILE_NAME = "manifest.json"


def describe_source(path: str | Path, **known: Any) -> dict[str, Any]:
    """Describe a raw file for recipes and manifests: name, bytes, sha256, and what is `known` (url, release)."""
    path = Path(path)
    try:
        return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of_file(path), **known}
    except OSError as error:
        raise DataPrepError(f"{path}: cannot be read ({error.strerror})") from None


def tool_versions(*packages: str) -> dict[str, str]:
    """Return the versions of the distributions that shaped the data; pyarrow always."""
    return {name: metadata.version(name) for name in sorted({"pyarrow", *packages})}


def fingerprint_of(kind: str, files: dict[str, dict[str, Any]]) -> str:
    """Return the identity of the content: equal data give equal fingerprints, whatever tool versions are noted."""
    content = {"version": VERSION, "kind": kind, "files": {name: facts["sha256"] for name, facts in files.items()}}
    return hashlib.sha256(canonical_json(content)).hexdigest()


def recipe_digest(recipe: dict[str, Any]) -> str:
    """Return the identity of a request: stage, parameters and sources."""
    return hashlib.sha256(canonical_json(recipe)).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder; DataPrepError if it is not a corpus that this version reads."""
    if folder.is_file():
        raise DataPrepError(
            f"{folder}: expected the folder of a corpus, got a file; a FASTA becomes one by "
            f"`python -m data_prep fasta {folder} --out FOLDER`"
        )
    if not folder.is_dir():
        raise DataPrepError(
            f"{folder}: no such corpus folder; build one with `python -m data_prep STAGE … --out {folder}`"
        )
    if not (folder / FILE_NAME).is_file():
        raise DataPrepError(f"{folder}: not a corpus (it has no {FILE_NAME}); build one with `python -m data_prep`")
    manifest = read_json(folder / FILE_NAME)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataPrepError(f"{folder / FILE_NAME}: not the manifest of a {FORMAT}")
    if manifest.get("version") != VERSION:
        raise DataPrepError(
            f"{folder}: corpus format version {manifest.get('version')}, this program reads {VERSION}; build it again"
        )
    return manifest
