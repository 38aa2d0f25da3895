"""A verified export as a model, or a corpus as a dataset, to a Hugging Face hub: in one commit, with its card."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from data_prep.corpus import Corpus
from data_prep.corpus.files import read_json
from data_prep.corpus.manifest import FILE_NAME
from pretrain.errors import PolymeraseError
from pretrain.exporting.hub import ORIGIN, check_name, one_line

if TYPE_CHECKING:
    from huggingface_hub import Collection, HfApi

CARD = "README.md"
_OF_EXPORTS = (".safetensors", ".json", ".py", ".md", ".png", ".svg")
_BESIDE = ("vocab.txt", "LICENSE", "LICENSE.txt", "NOTICE")
_NEEDED = ("config.json", "model.safetensors", CARD)


@dataclass(frozen=True)
class Publication:
    """What can be published.

    Attributes:
        folder: on disk.
        kind: of the repository, as the hub names it: ``model`` or ``dataset``.
        card: text of README.md.
        license: id on the card.
        files: paths in the folder, without the card.
    """

    folder: Path
    kind: str
    card: str
    license: str
    files: tuple[str, ...]


def model_publication(folder: Path) -> Publication:
    """Check that a folder can be published: a verified export whose card names a license.

    Raises:
        PolymeraseError: a file is missing, or the card says too little for others.
    """
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise PolymeraseError(f"{folder}: {name} is missing; expected a folder of export or convert, or a corpus")
    text = (folder / CARD).read_text(encoding="utf-8")
    license = _license(folder / CARD, text, "export the folder again", "export with --license ID")
    if "## Verification" not in text:
        raise PolymeraseError(f"{folder / CARD}: no section on its verification; export the folder again")
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    if partial := next((path for path in paths if path.name.endswith((".tmp", ".partial"))), None):
        raise PolymeraseError(f"{folder / partial}: left by a process that was killed; export the folder again")
    hidden = [path for path in paths if any(part.startswith(".") for part in path.parts)]
    for path in paths:
        if path not in hidden and path.suffix not in _OF_EXPORTS and path.name not in _BESIDE:
            raise PolymeraseError(
                f"{folder / path}: no file of an export, and all files are uploaded; move it elsewhere (data, pickles "
                "and states of an optimizer do not belong on a hub)"
            )
    files = tuple(path.as_posix() for path in paths if path not in hidden and path.as_posix() not in (ORIGIN, CARD))
    return Publication(folder, "model", text, license, files)


def corpus_publication(corpus: Corpus, card: str) -> Publication:
    """Check that a corpus can be published: its card is its own and names a license. Only its own files go along.

    Args:
        corpus: opened, its checksums compared.
        card: that ``python -m data_prep card`` makes.

    Raises:
        PolymeraseError: the card is that of another corpus, or says too little for others.
    """
    path, again = corpus.folder / CARD, f"write it with `python -m data_prep card {corpus.folder}`"
    if corpus.fingerprint not in card:
        raise PolymeraseError(f"{path}: expected the fingerprint {corpus.fingerprint} of this corpus; {again}")
    license = _license(path, card, again, "give --license ID")
    return Publication(corpus.folder, "dataset", card, license, (FILE_NAME, *corpus.manifest["files"]))


def push(
    found: Publication,
    name: str,
    *,
    private: bool = True,
    revision: str | None = None,
    message: str = "",
    collection: str | None = None,
    dataset: str | None = None,
) -> str:
    """Upload in one commit; return the address of the commit.

    Args:
        found: see :func:`model_publication` and :func:`corpus_publication`.
        name: OWNER/NAME; made where there is none, and private unless told otherwise.
        private: of a repository that is made now.
        revision: branch; None: the main one.
        message: of the commit.
        collection: OWNER/TITLE-ID or its address; the card links to it, and it lists the repository afterwards.
        dataset: OWNER/NAME of the corpus that a model was trained on, where it is on the hub; the card links to it.

    Raises:
        PolymeraseError: what the hub says, in one line.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    check_name(name)
    folder, kind, card = found.folder, found.kind, found.card
    if dataset is not None and kind != "model":
        raise PolymeraseError(f"--dataset {dataset} has no effect on a corpus; it is for models")
    if dataset is not None:
        card = _trained_on(card, check_name(dataset))
    with one_line(name):
        api = HfApi()
        listed = None if collection is None else _collection(api, collection)
        if listed is not None:
            card = _linked(card, listed.title, listed.url)
        api.create_repo(name, private=private, exist_ok=True, repo_type=kind)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True, repo_type=kind)
        commit = api.create_commit(
            name,
            [
                CommitOperationAdd(CARD, card.encode()),
                *(CommitOperationAdd(path, str(folder / path)) for path in found.files),
            ],
            repo_type=kind, revision=revision, commit_message=message or f"Upload {folder.resolve().name}",
        )  # fmt: skip
        if listed is not None:
            api.add_collection_item(listed.slug, name, kind, exists_ok=True)  # type: ignore[arg-type]
    return str(commit.commit_url)


def _license(path: Path, text: str, again: str, give: str) -> str:
    """Return the license in the front matter of a card."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.S)
    try:
        matter: Any = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        matter = None
    if not isinstance(matter, dict):
        raise PolymeraseError(f"{path}: expected YAML between two lines ---; {again}")
    if str(matter.get("license", "unknown")) == "unknown":
        raise PolymeraseError(
            f"{path}: license is unknown, so nobody may use what you publish; write the id of one there, or {give}"
        )
    return str(matter["license"])


def _trained_on(card: str, dataset: str) -> str:
    """The card with a dataset in its front matter, whose corpus has a fingerprint that the card names."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with one_line(dataset):
        try:
            manifest = read_json(Path(hf_hub_download(dataset, FILE_NAME, repo_type="dataset")))
        except EntryNotFoundError:
            raise PolymeraseError(
                f"--dataset {dataset}: has no {FILE_NAME}; expected a corpus that was pushed"
            ) from None
    fingerprint = str(manifest.get("fingerprint"))
    if fingerprint not in card:
        raise PolymeraseError(
            f"--dataset {dataset}: its corpus has the fingerprint {fingerprint}, which the model's card does not name; "
            "give the one that the model was trained on"
        )
    return card.replace("---\n", f"---\ndatasets:\n- {dataset}\n", 1)


def _collection(api: HfApi, given: str) -> Collection:
    from huggingface_hub.errors import HfHubHTTPError

    slug = given.rpartition("/collections/")[2]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", slug):
        raise PolymeraseError(f"--collection {given}: expected OWNER/TITLE-ID, the end of its address on the hub")
    try:
        return api.get_collection(slug)
    except HfHubHTTPError as error:
        if getattr(error.response, "status_code", None) != 404:
            raise
        raise PolymeraseError(
            f"--collection {slug}: the hub has no such collection; make one with `hf collections create TITLE`"
        ) from None


def _linked(card: str, title: str, address: str) -> str:
    """The card with a line on its collection below its first heading."""
    escaped = re.sub(r"([][\\])", r"\\\1", title)
    line = f"Part of the collection [{escaped}]({address})."
    if line in card:
        return card
    return re.sub(r"^# .*\n", lambda heading: f"{heading[0]}\n{line}\n", card, count=1, flags=re.M)
