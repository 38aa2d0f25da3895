"""One file over HTTP: resumed where the last try stopped, tried again when it breaks off, checked, then renamed.

What has come lies in `NAME.part`; `NAME.part.json` beside it remembers which version of the file it is (ETag or date),
so that a rerun never joins two versions.
"""

import hashlib
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.corpus.files import write_atomic
from data_prep.errors import DataPrepError

CHUNK = 1 << 20
TIMEOUT_S = 60
TRIES = 8  # in a row without a new byte
LONGEST_WAIT_S = 60.0
AGENT = {"User-Agent": "polymerase-data-prep", "Accept-Encoding": "identity"}
GONE = {400, 401, 403, 404, 405, 410}
INTERRUPTIONS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Reply:
    """What a server said before the body."""

    start: int  # first byte of the body in the file
    size: int | None  # of the whole file
    version: str  # ETag, else the date of change, else empty


class _TryAgainError(Exception):
    """The transfer stopped early; what came is kept."""

    def __init__(self, reason: str, wait_s: float | None = None):
        super().__init__(reason)
        self.wait_s = wait_s


def download(
    url: str,
    target: Path,
    md5: str,
    *,
    first_wait_s: float = 1.0,
    on_bytes: Callable[[int], Any] = lambda count: None,
) -> dict[str, Any]:
    """Bring `url` to `target`; returns {url, bytes, md5}.

    on_bytes: called with the number of bytes that came. md5: expected sum, or empty.
    Raises DataPrepError if the server does not have the file, if it goes on failing, or if the sum is wrong twice.
    """
    part = target.with_name(target.name + ".part")
    for attempt in (1, 2):
        size = _fill(url, part, first_wait_s, on_bytes)
        found = _md5(part)
        if not md5 or found == md5:
            break
        part.unlink()  # damaged on the way: once more from the start
        if attempt == 2:
            raise DataPrepError(
                f"{url}: md5 {found}, published is {md5}; the file on the server has changed or is damaged"
            )
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    _memory(part).unlink(missing_ok=True)
    return {"url": url, "bytes": size, "md5": found}


def read_small(url: str) -> bytes | None:
    """A small text file such as a list of checksums; None if the server does not have it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=AGENT), timeout=TIMEOUT_S) as reply:
            return reply.read(1 << 24)
    except urllib.error.HTTPError as error:
        if error.code in GONE:
            return None
        raise DataPrepError(f"{url}: the server answers {error.code} {error.reason}; try later") from None
    except INTERRUPTIONS as error:
        raise DataPrepError(f"{url}: {_reason(error)}; check the network, or give --mirror") from None


def _fill(url: str, part: Path, first_wait_s: float, on_bytes: Callable[[int], Any]) -> int:
    """Bring the partial file to its full size, which is returned."""
    longest, failures = part.stat().st_size if part.exists() else 0, 0
    while True:
        try:
            return _transfer(url, part, on_bytes)
        except _TryAgainError as trouble:
            have = part.stat().st_size if part.exists() else 0
            # Only bytes that never came before are progress: a server that cannot resume may fail for ever.
            failures = 0 if have > longest else failures + 1
            longest = max(longest, have)
            if failures >= TRIES:
                raise DataPrepError(
                    f"{url}: {trouble} ({TRIES} times in a row; {have:,} bytes are kept in {part.name}); run it again"
                ) from None
            wait_s = min(first_wait_s * 2**failures if trouble.wait_s is None else trouble.wait_s, LONGEST_WAIT_S)
            print(f"{part.stem}: {trouble}; {have:,} bytes are here, trying again in {wait_s:.0f} s", file=sys.stderr)
            time.sleep(wait_s)


def _transfer(url: str, part: Path, on_bytes: Callable[[int], Any]) -> int:
    """One request; returns the size of the file when it is whole."""
    have = part.stat().st_size if part.exists() else 0
    version = _remembered(part, url) if have else ""
    headers = dict(AGENT)
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as response:
            reply = _understand(response)
            if reply.start not in (0, have) or (reply.start and reply.version != version):
                part.unlink()
                raise _TryAgainError("the server sent another part, or a part of another version")
            write_atomic(_memory(part), json.dumps({"url": url, "version": reply.version}).encode())
            with open(part, "r+b" if part.exists() else "wb") as file:
                file.truncate(reply.start)
                file.seek(reply.start)
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    on_bytes(len(chunk))
                size = file.tell()
    except urllib.error.HTTPError as error:
        return _refused(url, part, have, error)
    except INTERRUPTIONS as error:
        raise _TryAgainError(_reason(error)) from None
    if reply.size is not None and size < reply.size:
        raise _TryAgainError(f"the connection closed after {size:,} of {reply.size:,} bytes")
    if reply.size is not None and size > reply.size:
        part.unlink()
        raise _TryAgainError(f"{size:,} bytes came of a file of {reply.size:,}")
    return size


def _understand(response: http.client.HTTPResponse) -> Reply:
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    version = "" if version.startswith("W/") else version  # weak tags do not promise the same bytes
    if response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if span is None:
            raise _TryAgainError("a part of the file without its place (Content-Range)")
        return Reply(int(span[1]), None if span[2] == "*" else int(span[2]), version)
    length = response.headers.get("Content-Length")
    return Reply(0, int(length) if length is not None else None, version)


def _refused(url: str, part: Path, have: int, error: urllib.error.HTTPError) -> int:
    if error.code == 416:
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return have  # it was whole already
        part.unlink(missing_ok=True)
        raise _TryAgainError("what is on the disk does not fit the file on the server", wait_s=0)
    if error.code in GONE:
        raise DataPrepError(
            f"{url}: the server answers {error.code} {error.reason}; check --release, or give --mirror"
        ) from None
    after = error.headers.get("Retry-After", "")
    raise _TryAgainError(f"the server answers {error.code} {error.reason}", float(after) if after.isdigit() else None)


def _memory(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remembered(part: Path, url: str) -> str:
    """Version of the partial file, if it is of this URL; without one it cannot be continued safely."""
    try:
        known = json.loads(_memory(part).read_bytes())
        return known["version"] if known["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
