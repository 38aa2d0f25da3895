"""A Hugging Face hub, over ``huggingface_hub``: names, its errors in one line each, and folders of models from it.

The hub is the one of ``HF_ENDPOINT`` (default: huggingface.co); the token that of ``HF_TOKEN`` or of ``hf auth login``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.corpus.files import pretty_json, sha256_of_file, write_atomic
from pretrain.errors import PolymeraseError
from pretrain.exporting.new_folder import new_folder

ORIGIN = "SOURCE.json"  # of fetched folders: repository, commit, checksums
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")  # read without running them, and only where there is nothing safer
_OTHERS = ("*.h5", "*.msgpack", "*.onnx", "*.ot", "*.tflite", "training_args.bin", ".git*")  # weights of other programs


def check_name(name: str) -> str:
    """Return the name of a repository, OWNER/NAME; PolymeraseError if it is none."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]{0,95}", name) or ".." in name or "--" in name:
        raise PolymeraseError(f"{name!r}: expected OWNER/NAME of letters, digits, dots and dashes")
    return name


def fetch(name: str, out: Path, revision: str | None = None) -> dict[str, Any]:
    """Download a model's folder; it is whole or absent, and nothing inside it is run.

    Pickled weights are left out where there are safetensors, weights of other programs always.

    Returns:
        What ``SOURCE.json`` holds: repository, commit, files with bytes and sha256.

    Raises:
        PolymeraseError: what the hub says, or a file that is not what the hub promised, in one line.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.hf_api import RepoFile

    check_name(name)
    with new_folder(out) as partial, one_line(name):
        api = HfApi()
        commit = str(api.model_info(name, revision=revision).sha)
        tree = api.list_repo_tree(name, recursive=True, revision=commit)
        promised = {one.path: one for one in tree if isinstance(one, RepoFile)}
        safe = any(path.endswith(".safetensors") for path in promised)
        left_out = [*_OTHERS, *(_PICKLES if safe else ())]
        snapshot_download(name, revision=commit, local_dir=partial, ignore_patterns=left_out)
        _remove_cache(partial)
        files = {}
        for path in sorted(partial.rglob("*")):
            if path.is_file():
                inside = path.relative_to(partial).as_posix()
                files[inside] = {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
                _compare(name, inside, files[inside], promised.get(inside))
        if "config.json" not in files:
            raise PolymeraseError(f"{name}: has no config.json, so it is not a transformers model; see its page")
        found = {"repository": name, "commit": commit, "files": files}
        write_atomic(partial / ORIGIN, pretty_json(found))
    return found


def _compare(name: str, path: str, found: dict[str, Any], promised: Any) -> None:
    """Large files have checksums on the hub, all others a size."""
    lfs = getattr(promised, "lfs", None)
    if promised is not None and promised.size != found["bytes"]:
        raise PolymeraseError(f"{name}: {path}: expected {promised.size} bytes, got {found['bytes']}; fetch it again")
    if lfs is not None and lfs.sha256 != found["sha256"]:
        raise PolymeraseError(f"{name}: {path}: sha256 differs from the hub's; fetch it again")


def _remove_cache(folder: Path) -> None:
    """Remove what huggingface_hub notes for itself in a local folder."""
    import shutil

    shutil.rmtree(folder / ".cache", ignore_errors=True)


@contextmanager
def one_line(name: str) -> Iterator[None]:
    """Turn errors of the hub into one line with advice; tokens are in none."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except PolymeraseError:
        raise
    except LocalTokenNotFoundError:
        raise PolymeraseError(f"{name}: no token; log in with `hf auth login`, or set HF_TOKEN") from None
    except RevisionNotFoundError:
        raise PolymeraseError(f"{name}: the hub has no such revision; look at the branches on its page") from None
    except RepositoryNotFoundError:
        raise PolymeraseError(
            f"{name}: the hub has no such repository, or it is private and you are not logged in (`hf auth login`)"
        ) from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        advice = {401: "log in with `hf auth login`, or set HF_TOKEN", 403: "your token may not write there"}
        raise PolymeraseError(
            f"{name}: the hub answers {status}: {_first_line(error)}; {advice.get(status or 0, 'try again')}"
        ) from None
    except (OSError, ValueError) as error:  # no connection, a certificate, a proxy
        raise PolymeraseError(f"{name}: the hub cannot be reached: {_first_line(error)}; see HF_ENDPOINT") from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise
        raise PolymeraseError(f"{name}: the hub cannot be reached: {_first_line(error)}; see HF_ENDPOINT") from None


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return re.sub(r"hf_\w+", "hf_…", text[0] if text else type(error).__name__)[:200]
