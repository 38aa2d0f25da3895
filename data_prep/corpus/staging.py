"""A folder that is built beside its final place and appears there whole, by one rename.

While it is built it is `.NAME.partial`; a journal in it lists the finished files. A killed run leaves the partial
folder, and a rerun of the same recipe finds its finished files in it; bad input removes it.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from data_prep.corpus import manifest as manifests
from data_prep.corpus.files import canonical_json, digest, flush_to_disk, pretty_json, write_atomic
from data_prep.errors import DataPrepError

JOURNAL = "journal.jsonl"
LOCK = "lock"


class StagedFolder:
    """Context manager around the building of one corpus folder (any kind).

    recipe: JSON-able {"stage", "parameters", "sources", …}; decides whether files of an earlier run may be kept. None:
    the input cannot be told from another one (standard input), so nothing earlier is ever kept.
    complete: the final folder already holds this very recipe; there is nothing to do.
    finished: {file name: facts} of files that are already whole in the partial folder (facts: bytes, sha256 and
    whatever `add` was given).
    Leaving the block without `publish`: a DataPrepError removes the partial folder, anything else keeps it for a rerun.
    """

    def __init__(self, out: str | Path, recipe: dict[str, Any] | None, *, overwrite: bool = False):
        self.out = Path(os.path.abspath(out))
        self.recipe = manifests.recipe_digest(recipe) if recipe is not None else None
        self.path = self.out.with_name(f".{self.out.name}.partial")
        self.finished: dict[str, dict[str, Any]] = {}
        self.complete = self._look_at_final_place(overwrite)
        self._published = False

    def __enter__(self) -> "StagedFolder":
        if self.complete:
            return self
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / LOCK, "w")
        except OSError as error:
            raise DataPrepError(f"{self.out}: cannot be written ({error.strerror}); choose another --out") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataPrepError(f"{self.out}: another process is building this folder; wait or end it") from None
        self._reopen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self.complete:
            return
        self._journal.close()
        if isinstance(error, DataPrepError) and not self._published:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def add(self, name: str, data: bytes | Callable[[BinaryIO], Any], **facts: Any) -> dict[str, Any]:
        """Write one file of the folder atomically and note it; returns its facts (bytes, sha256, **facts).

        data: the content, or what writes it to a file that it is given. A file that an earlier run of this recipe
        finished with the same content is kept.
        """
        known = self.finished.get(name)
        if known and digest(data)["sha256"] == known["sha256"]:
            return known
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        written = write_atomic(self.path / name, data)
        return self._note(name, {**written, **facts})

    def publish(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Write the manifest around `body` and move the folder to its final place. Returns the manifest.

        body: alphabet, columns, sources, tools, stages, splits as the kind needs them.
        """
        files = {name: {"bytes": facts["bytes"], "sha256": facts["sha256"]} for name, facts in self.finished.items()}
        files = dict(sorted(files.items()))
        manifest = {
            "format": manifests.FORMAT,
            "version": manifests.VERSION,
            "kind": kind,
            "fingerprint": manifests.fingerprint_of(kind, files),
            "recipe": self.recipe,
            **body,
            "files": files,
        }
        self._remove_strangers(files)
        (self.path / LOCK).unlink()
        write_atomic(self.path / manifests.FILE_NAME, pretty_json(manifest))
        flush_to_disk(self.path)
        old = self.out.with_name(f".{self.out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.out.exists() and any(self.out.iterdir()):
            os.rename(self.out, old)
        os.rename(self.path, self.out)
        flush_to_disk(self.out.parent)
        shutil.rmtree(old, ignore_errors=True)
        self._published = True
        return manifest

    def _look_at_final_place(self, overwrite: bool) -> bool:
        if not self.out.exists():
            return False
        if not self.out.is_dir():
            raise DataPrepError(f"{self.out}: exists and is not a folder; choose another --out")
        if not any(self.out.iterdir()):
            return False
        try:
            present = manifests.read_manifest(self.out)
        except DataPrepError:
            raise DataPrepError(
                f"{self.out}: exists and is not a corpus, so it is never replaced; choose another --out"
            ) from None
        if self.recipe is not None and present["recipe"] == self.recipe:
            return True
        if not overwrite:
            raise DataPrepError(
                f"{self.out}: holds a corpus of other input or parameters; choose another --out or pass --overwrite"
            )
        return False

    def _reopen(self) -> None:
        """Keep the finished files of an earlier run of the same recipe; otherwise start empty."""
        journal = self.path / JOURNAL
        lines = list(_whole_lines(journal))
        if self.recipe is not None and lines and lines[0] == {"recipe": self.recipe}:
            for name, facts in (entry for line in lines[1:] for entry in line.items()):
                if (self.path / name).is_file() and (self.path / name).stat().st_size == facts["bytes"]:
                    self.finished[name] = facts
        else:
            self._remove_strangers({})
        # Rewritten rather than continued: a torn last line of a killed run must not stay in the middle.
        entries = [{"recipe": self.recipe}, *({name: facts} for name, facts in self.finished.items())]
        write_atomic(journal, b"".join(canonical_json(entry) + b"\n" for entry in entries))
        self._journal = open(journal, "ab")  # noqa: SIM115  (held until the block ends)

    def _note(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        self.finished[name] = facts
        self._journal.write(canonical_json({name: facts}) + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())
        return facts

    def _remove_strangers(self, known: dict[str, Any]) -> None:
        """Remove what is not part of the corpus: the journal, temporary files, another recipe's files."""
        for path in sorted(self.path.rglob("*"), reverse=True):  # children before their folder
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.name != LOCK and str(path.relative_to(self.path)) not in known:
                path.unlink()


def _whole_lines(journal: Path) -> Iterator[dict[str, Any]]:
    """Journal entries up to the first torn one."""
    if not journal.exists():
        return
    for line in journal.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line)
        except ValueError:
            return
