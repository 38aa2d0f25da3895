"""From a name in the table to a checked file on the disk, with a note of where it came from."""

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_prep.corpus.files import pretty_json, write_atomic
from data_prep.errors import DataPrepError
from data_prep.fetch.download import download, read_small
from data_prep.fetch.reach import refuse_unreachable
from data_prep.fetch.table import PublicFile
from data_prep.runtime.console import progress

NOTE = ".origin.json"  # beside a fetched file; manifests take url and release from it


def fetch_file(file: PublicFile, folder: Path, mirror: str | None = None, first_wait_s: float = 1.0) -> Path:
    """Download one file into a folder, unless it is there; returns its path. Raises DataPrepError."""
    url = _mirrored(file.url, mirror)
    target = folder / url.rpartition("/")[2]
    if target.exists():
        known = origin_of(target).get("url", url)
        if urlsplit(known).path != urlsplit(url).path:
            raise DataPrepError(f"{target}: is there already, but came from {known}; give another --out")
        print(f"{target} is there already")
        return target
    refuse_unreachable(url, str(target))
    folder.mkdir(parents=True, exist_ok=True)
    md5 = file.md5 or _listed_md5(_mirrored(file.md5_list, mirror), target.name)
    with progress(description=target.name, unit="B") as bar:
        facts = download(url, target, md5, first_wait_s=first_wait_s, on_bytes=bar.update)
    checked = "md5 as published" if md5 else "no md5 published, size as announced"
    write_atomic(folder / (target.name + NOTE), pretty_json({**facts, "release": file.release, "checked": checked}))
    print(f"wrote {target}: {facts['bytes']:,} bytes, {checked}")
    return target


def origin_of(path: str | Path) -> dict[str, Any]:
    """{"url", "release"} of a file that was fetched, for its corpus's manifest; empty for any other file."""
    try:
        note = json.loads(Path(f"{path}{NOTE}").read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: note[key] for key in ("url", "release") if note.get(key)}


def _listed_md5(url: str, name: str) -> str:
    """The sum that a list such as MD5SUMS gives for a file name; empty where there is none."""
    listing = read_small(url) if url else b""
    if listing is None:
        print(f"warning: {url} is not there; only the size is checked", file=sys.stderr)
    for line in (listing or b"").decode("utf-8", "replace").splitlines():
        words = line.replace("*", " ").split()
        if any(word.rpartition("/")[2] == name for word in words):
            sums = [word for word in words if re.fullmatch(r"[0-9a-f]{32}", word)]
            if sums:
                return sums[0]
    return ""


def _mirrored(url: str, mirror: str | None) -> str:
    """The same path on another server."""
    if not mirror or not url:
        return url
    if urlsplit(mirror).scheme not in ("http", "https"):
        raise DataPrepError(f"--mirror {mirror}: expected http:// or https://")
    return mirror.rstrip("/") + urlsplit(url).path
