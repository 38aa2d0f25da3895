"""Fixtures every test may use."""

from pathlib import Path

import pytest

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
