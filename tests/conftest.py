"""Fixtures every test may use."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long it takes to make inputs and to run a test tells of the load of the machine, not of the code.
settings.register_profile("any_load", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("any_load")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Path:
    """Goldens that travel with the repository."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data and goldens that may not travel; tests that need them skip elsewhere."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared (real sequences that are not part of the repository)")
    return SHARED


@pytest.fixture(scope="session")
def corpora(tmp_path_factory) -> dict[str, Path]:
    """Small corpora of synthetic sequences: plain, other (another seed), single (one sequence), labeled, alleles,
    genome."""
    from tests.training import corpora as build

    folder = tmp_path_factory.mktemp("corpora")
    return {
        "plain": build.build_plain(folder),
        "other": build.build_plain(folder, seed=2, count=70),
        "single": build.build_plain(folder, seed=3, count=1, validation=0.0),
        "labeled": build.build_labeled(folder),
        "alleles": build.build_alleles(folder),
        "genome": build.build_genome(folder),
    }


@pytest.fixture(scope="session")
def byte_pairs(tmp_path_factory) -> Path:
    """A tokenizer.json of 4,096 byte pairs, as many as DNABERT-2 has, trained on random letters."""
    from data_prep.bpe.train import train

    letters = random.Random(0)
    file = tmp_path_factory.mktemp("byte-pairs") / "tokenizer.json"
    train(("".join(letters.choices("ACGT", k=1000)) for _ in range(300)), 4096).save(str(file))
    return file


@pytest.fixture
def files_of_recipes(tmp_path, monkeypatch, byte_pairs) -> None:
    """Byte pairs are in a file that a step before makes: where recipes name it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora").mkdir()
    for name in ("dnabert2.json", "demo-bpe.json"):
        (tmp_path / "corpora" / name).hardlink_to(byte_pairs)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, corpora) -> Path:
    """A run of six steps, evaluated every third."""
    from tests.training import corpora as build
    from tests.training.ranks import command_line

    folder = tmp_path_factory.mktemp("tiny-run")
    changes = {"train__steps": 6, "train__eval_every": 3, "train__log_every": 1}
    config = build.write_yaml(folder / "run.yaml", build.tree(folder / "run", corpora["labeled"], **changes))
    done = command_line("--config", str(config), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"
