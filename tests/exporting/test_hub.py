"""A folder pushed to a hub and fetched again is the same, byte for byte; what cannot be done is one line."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_prep.__main__ import main as data_prep
from data_prep.corpus import open_corpus
from data_prep.inspection.card import card_of
from pretrain.errors import PolymeraseError
from pretrain.exporting.publish import model_publication
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
    """A script with this hub as its hub."""
    return python(hub, folder, str(ROOT / "launch" / script), *map(str, words), token=token)


def python(hub: Hub, folder: Path, *words: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """A process of its own, beside the folder of exports: the hub's address is read when its library is imported."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "HF_HOME": str(folder.parent / "hf"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *words],
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
        (["fetch_model.py", "lab/none", "--out", "x"], "lab/none: the hub has no such repository"),
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


@pytest.fixture
def corpus(tmp_path) -> Path:
    fasta = tmp_path / "my.fa"
    fasta.write_text("".join(f">r{n}\n{'ACGU' * (5 + n)}\n" for n in range(30)))
    assert data_prep(["fasta", str(fasta), "--out", str(tmp_path / "corpora/rnas"), "--validation", "0.2"]) == 0
    return tmp_path / "corpora/rnas"


def test_a_corpus_comes_back_whole_by_the_command_on_its_card(hub, folder, corpus):
    (corpus / "notes.txt").write_text("mine alone")
    done = run(hub, folder, "push.py", corpus, "--repo", "lab/rnas", "--license", "cc0-1.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.endpoint}/datasets/lab/rnas/commit/{hub.sha}"
    there, ours = hub.repositories["datasets/lab/rnas"], open_corpus(corpus)
    assert hub.private["datasets/lab/rnas"]
    assert set(there) - {".gitattributes"} == {"README.md", "manifest.json", *ours.manifest["files"]}
    assert there["README.md"].decode() == card_of(ours, "rnas", "cc0-1.0", repository="lab/rnas")
    (line,) = re.findall(r"^hf (download .*)$", there["README.md"].decode(), flags=re.M)
    done = python(hub, folder, "-m", "huggingface_hub.cli.hf", *line.split())
    assert done.returncode == 0, done.stderr
    assert open_corpus(folder.parent / "rnas", verify=True).fingerprint == ours.fingerprint


def test_a_card_beside_the_corpus_is_the_one_that_is_pushed(hub, folder, corpus):
    card = corpus / "README.md"
    assert data_prep(["card", str(corpus), "--license", "cc0-1.0", "--out", str(card)]) == 0
    card.write_text(card.read_text() + "\nAsk us first.\n")
    assert run(hub, folder, "push.py", corpus, "--repo", "lab/rnas").returncode == 0
    assert hub.repositories["datasets/lab/rnas"]["README.md"] == card.read_bytes()
    words = ("push.py", corpus, "--repo", "lab/rnas", "--check")
    assert "has no effect" in error_of(run(hub, folder, *words, "--license", "cc0-1.0"))
    card.write_text(card.read_text().replace(open_corpus(corpus).fingerprint, "0" * 64))
    assert "expected the fingerprint" in error_of(run(hub, folder, *words))


def test_a_corpus_without_a_license_or_with_a_damaged_file_is_not_published(hub, folder, corpus):
    words = ("push.py", corpus, "--repo", "lab/rnas")
    assert "license is unknown" in error_of(run(hub, folder, *words))
    file = corpus / next(iter(open_corpus(corpus).manifest["files"]))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "damaged" in error_of(run(hub, folder, *words, "--license", "cc0-1.0"))
    words = ("push.py", folder, "--repo", "lab/mine", "--license", "cc0-1.0")
    assert "has no effect on a model" in error_of(run(hub, folder, *words))
    assert not hub.requests


def test_a_collection_is_linked_on_the_card_and_lists_the_repository_once(hub, folder, corpus):
    slug = "lab/our-rna-64f9a55bb3115b4f513ec026"
    hub.collections[slug] = {"title": "Our [RNA]", "items": []}
    card = (folder / "README.md").read_text()
    words = ("push.py", folder, "--repo", "lab/mine", "--collection")
    for given in (slug, f"{hub.endpoint}/collections/{slug}"):
        assert run(hub, folder, *words, given).returncode == 0
    line = f"\n# mine\n\nPart of the collection [Our \\[RNA\\]]({hub.endpoint}/collections/{slug}).\n"
    pushed = hub.repositories["lab/mine"]["README.md"].decode()
    assert line in pushed
    assert pushed.replace(line, "\n# mine\n") == card == (folder / "README.md").read_text()
    words = ("push.py", corpus, "--repo", "lab/rnas", "--license", "cc0-1.0", "--collection", slug)
    assert run(hub, folder, *words).returncode == 0
    items = [(item["id"], item["type"]) for item in hub.collections[slug]["items"]]
    assert items == [("lab/mine", "model"), ("lab/rnas", "dataset")]


def test_a_collection_that_is_not_there_stops_the_push_before_anything_is_made(hub, folder):
    words = ("push.py", folder, "--repo", "lab/mine", "--collection")
    assert "the hub has no such collection" in error_of(run(hub, folder, *words, "lab/none-64f9"))
    assert "expected OWNER/TITLE-ID" in error_of(run(hub, folder, *words, "none"))
    assert not hub.repositories


def test_a_model_is_linked_to_its_corpus_and_to_no_other(hub, folder, corpus):
    assert run(hub, folder, "push.py", corpus, "--repo", "lab/rnas", "--license", "cc0-1.0").returncode == 0
    words = ("push.py", folder, "--repo", "lab/mine", "--dataset", "lab/rnas")
    assert "which the model's card does not name" in error_of(run(hub, folder, *words))
    assert "lab/none: the hub has no such repository" in error_of(run(hub, folder, *words[:-1], "lab/none"))
    hub.repositories["datasets/lab/other"] = {"README.md": b"# other"}
    assert "lab/other: has no manifest.json" in error_of(run(hub, folder, *words[:-1], "lab/other"))
    assert "lab/mine" not in hub.repositories
    card = folder / "README.md"
    card.write_text(f"{card.read_text()}\n| corpus rnas | fingerprint {open_corpus(corpus).fingerprint} |\n")
    assert run(hub, folder, *words).returncode == 0
    pushed = hub.repositories["lab/mine"]["README.md"].decode()
    assert yaml.safe_load(pushed.split("---\n")[1])["datasets"] == ["lab/rnas"]
    assert pushed.replace("datasets:\n- lab/rnas\n", "") == card.read_text()
    words = ("push.py", corpus, "--repo", "lab/rnas", "--license", "cc0-1.0", "--dataset", "lab/rnas")
    assert "has no effect on a corpus" in error_of(run(hub, folder, *words))


@pytest.mark.parametrize("name", ["train.csv", "optimizer.pt", "checkpoint-5/training_args.bin", "scores.tsv"])
def test_what_is_no_part_of_an_export_is_not_uploaded_unseen(folder, name):
    """Trainer and users leave data and pickles in the folder of a model."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("private")
    with pytest.raises(PolymeraseError, match=rf"{name}: no file of an export, and all files are uploaded; move it"):
        model_publication(folder)
    (folder / name).unlink()
    (folder / "LICENSE").write_text("mine")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("hidden files stay here")
    assert set(model_publication(folder).files) == {"config.json", "model.safetensors", "tokenizer.json", "LICENSE"}
