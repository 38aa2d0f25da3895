"""A folder pushed to a hub and fetched again is the same, byte for byte; what cannot be done is one line."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporting.local_hub import TOKEN, Hub, local_hub
from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[2]

CARD = """---
library_name: transformers
license: {license}
model-index:
- name: mine
---

# mine

## Verification

ok
"""


@pytest.fixture
def hub():
    with local_hub() as found:
        yield found


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder in the form of an export; its weights are some bytes."""
    made = tmp_path / "exports/mine"
    made.mkdir(parents=True)
    (made / "config.json").write_text('{"model_type": "bert"}')
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (made / "README.md").write_text(CARD.format(license="apache-2.0"))
    (made / "tokenizer.json").write_text("{}")
    return made


def run(hub: Hub, folder: Path, script: str, *words: object, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """A command with this hub as its hub, in a process of its own: the address is read when the library is imported."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "HF_HOME": str(folder.parent / "hf"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, str(ROOT / "launch" / script), *map(str, words)],
        cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, (done.stdout, done.stderr)
    (line,) = [line for line in done.stderr.strip().splitlines() if line.startswith("error: ")]
    assert TOKEN not in done.stdout + done.stderr
    return line


def test_a_folder_comes_back_byte_for_byte_with_its_checksums(hub, folder, tmp_path):
    done = run(hub, folder, "push.py", folder, "--repo", "lab/mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.endpoint}/lab/mine/commit/{hub.sha}"
    assert hub.private["lab/mine"]
    assert set(hub.repositories["lab/mine"]) - {".gitattributes"} == {path.name for path in folder.iterdir()}
    done = run(hub, folder, "fetch_model.py", "lab/mine", "--out", tmp_path / "theirs")
    assert done.returncode == 0, done.stderr
    for path in folder.iterdir():
        assert (tmp_path / "theirs" / path.name).read_bytes() == path.read_bytes()
    source = json.loads((tmp_path / "theirs/SOURCE.json").read_text())
    assert (source["repository"], source["commit"]) == ("lab/mine", hub.sha)
    assert set(source["files"]) == {path.name for path in folder.iterdir()}
    assert {path.name for path in (tmp_path / "theirs").iterdir()} == {*source["files"], "SOURCE.json"}


def test_pickles_stay_where_there_are_safetensors_and_are_fetched_where_not(hub, folder, tmp_path):
    hub.repositories["lab/both"] = {"config.json": b"{}", "model.safetensors": b"x" * 9, "pytorch_model.bin": b"y",
                                    "model.onnx": b"z"}  # fmt: skip
    hub.repositories["lab/old"] = {"config.json": b"{}", "pytorch_model.bin": pickle.dumps({})}
    hub.private |= {"lab/both": False, "lab/old": False}
    for name, wanted in (("both", "model.safetensors"), ("old", "pytorch_model.bin")):
        done = run(hub, folder, "fetch_model.py", f"lab/{name}", "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (tmp_path / name).iterdir()} == {"config.json", wanted, "SOURCE.json"}


def test_a_damaged_download_leaves_nothing(hub, folder, tmp_path):
    hub.repositories["lab/mine"] = {"config.json": b"{}", "model.safetensors": b"x" * 9}
    hub.private["lab/mine"], hub.damages = False, "model.safetensors"
    line = error_of(run(hub, folder, "fetch_model.py", "lab/mine", "--out", tmp_path / "theirs"))
    assert "lab/mine: model.safetensors: sha256 differs from the hub's" in line
    assert not [path for path in tmp_path.iterdir() if "theirs" in path.name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push.py", "FOLDER", "--repo", "mine"], "'mine': expected OWNER/NAME"),
        (["push.py", "nowhere", "--repo", "lab/mine"], "nowhere: config.json is missing"),
        (["fetch_model.py", "lab/none", "--out", "x"], "lab/none: the hub has no such model"),
        (["fetch_model.py", "lab/none", "--out", "FOLDER"], "exists and is not empty"),
    ],
)
def test_what_cannot_be_done_is_one_line(hub, folder, words, said):
    script, *rest = [str(folder) if word == "FOLDER" else word for word in words]
    assert said in error_of(run(hub, folder, script, *rest))


def test_a_wrong_token_and_a_hub_that_is_away_are_one_line(hub, folder):
    assert "the hub answers 401" in error_of(
        run(hub, folder, "push.py", folder, "--repo", "lab/mine", token="hf_other")
    )
    hub.endpoint = "http://127.0.0.1:9"
    assert "cannot be reached" in error_of(run(hub, folder, "fetch_model.py", "lab/mine", "--out", "x"))


def test_a_card_without_a_license_is_not_published(hub, folder):
    (folder / "README.md").write_text(CARD.format(license="unknown"))
    assert "license is unknown" in error_of(run(hub, folder, "push.py", folder, "--repo", "lab/mine", "--check"))
    (folder / "README.md").write_text("# mine\n")
    assert "expected YAML between two lines" in error_of(run(hub, folder, "push.py", folder, "--repo", "lab/mine"))
    assert not hub.requests
