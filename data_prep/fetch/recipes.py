"""Recipe files: how a published corpus is built, with the counts to expect beside the published ones."""

import shlex
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from data_prep.errors import DataPrepError

KEYS = ("corpus", "config", "steps", "yours", "counts", "estimates", "uncertain")
REQUIRED = {"corpus", "config", "steps"}
STEP_KEYS = ("run", "disk_gb", "minutes", "count")


@dataclass(frozen=True)
class Step:
    """One command (after `python -m data_prep`), and what it is expected to need and to make."""

    run: str
    disk_gb: float | None = None
    minutes: float | None = None
    count: str = ""

    @property
    def expected(self) -> str:
        """One line; empty where the recipe says nothing."""
        if self.disk_gb is None or self.minutes is None:
            return ""
        return f"expected: {_size(self.disk_gb)} of disk, {_time(self.minutes)}, {self.count}"


def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe: {corpus, config, steps, yours, counts, estimates, uncertain}.

    corpus: folder that the last step fills; config: training configuration it is for; steps: `Step`s, in the file each
    a command or a mapping with the fields of one; yours: {path or pattern: what it must hold}, files that no `fetch`
    gets; counts: [{what, published, expected}]; estimates: what disk and minutes rest on; uncertain: what the
    publication leaves open.

    Raises:
        DataPrepError: names what is wrong.
    """
    try:
        recipe = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise DataPrepError(
            f"{path}: cannot be read ({error.strerror}); expected a recipe, e.g. configs/corpora/utrbert.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataPrepError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(recipe, dict) or not REQUIRED <= recipe.keys() <= set(KEYS):
        raise DataPrepError(f"{path}: a recipe has the keys {', '.join(KEYS)} (the first three are needed)")
    yours = recipe.get("yours", {})
    if not isinstance(yours, dict) or not all(isinstance(text, str) for pair in yours.items() for text in pair):
        raise DataPrepError(f"{path}: yours is a mapping from paths to what they hold")
    if not isinstance(recipe["steps"], list):
        raise DataPrepError(f"{path}: steps is a list of commands, each one text")
    return recipe | {"steps": [_step(str(path), number, step) for number, step in enumerate(recipe["steps"], 1)]}


def words_of(step: str) -> list[str]:
    """The words of a command as a shell would give them: quotes, and patterns of file names (`*`) that match files.

    A pattern that matches nothing stays as it is; the stage then says which file is missing.
    """
    words = []
    for word in shlex.split(step):
        words += (sorted(glob(word)) if "*" in word else []) or [word]
    return words


def missing_files(recipe: dict[str, Any]) -> list[str]:
    """What the user still has to put in place, one line for each path that does not exist."""
    return [
        f"{file} does not exist, and nothing fetches it: {' '.join(what.split())}; put yours there"
        for file, what in recipe.get("yours", {}).items()
        if not glob(file)
    ]


def needs(steps: list[Step]) -> str:
    """Disk and time of all steps together; empty where a step says nothing."""
    if any(step.disk_gb is None or step.minutes is None for step in steps):
        return ""
    disk, minutes = (sum(getattr(step, name) for step in steps) for name in ("disk_gb", "minutes"))
    return f"{_size(disk)} of disk and {_time(minutes)} in all"


def _step(path: str, number: int, step: Any) -> Step:
    if isinstance(step, str):
        return Step(step)
    if not isinstance(step, dict) or not isinstance(step.get("run"), str) or not step.keys() <= set(STEP_KEYS):
        raise DataPrepError(f"{path} step {number}: a step is a command, or has the keys {', '.join(STEP_KEYS)}")
    for name in ("disk_gb", "minutes"):
        if not isinstance(step.get(name), int | float):
            raise DataPrepError(f"{path} step {number}: {name} is a number, got {step.get(name)!r}")
    return Step(**{**step, "count": str(step.get("count", ""))})


def _size(gb: float) -> str:
    return f"about {gb:.3g} GB" if gb >= 0.1 else "less than 0.1 GB"


def _time(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    if minutes < 100:
        return f"about {minutes:.0f} min"
    return f"about {minutes / 60:.0f} h" if minutes < 60 * 48 else f"about {minutes / 1440:.0f} days"
