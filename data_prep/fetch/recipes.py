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
COST_KEYS = ("disk_gb", "minutes")
COST_PER_MB_KEYS = ("disk_mb_per_mb", "seconds_per_mb")  # of the files named in `yours`, as they are stored
STEP_KEYS = ("run", *COST_KEYS, "count", *COST_PER_MB_KEYS)


@dataclass(frozen=True)
class Step:
    """One command (after `python -m data_prep`), and what it is expected to need and to make."""

    run: str
    disk_gb: float | None = None
    minutes: float | None = None
    count: str = ""
    disk_mb_per_mb: float = 0.0  # of a step over the user's files, while those are not there
    seconds_per_mb: float = 0.0

    @property
    def expected(self) -> str:
        """One line; empty where the recipe says nothing."""
        cost = _cost([self])
        return f"expected: {', '.join([*cost, self.count])}" if cost else ""


def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe: {corpus, config, steps, yours, counts, estimates, uncertain}.

    corpus: folder that the last step fills; config: training configuration it is for; steps: `Step`s, in the file each
    a command or a mapping with `STEP_KEYS`, where costs per MB are multiplied by the size of `yours` if they are there;
    yours: {path or pattern: what it must hold}, files that no `fetch` gets; counts: [{what, published, expected}];
    estimates: what disk and minutes rest on; uncertain: what the publication leaves open.

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
    yours_mb = sum(Path(file).stat().st_size for pattern in yours for file in glob(pattern)) / 1e6
    return recipe | {
        "steps": [_step(str(path), number, step, yours_mb) for number, step in enumerate(recipe["steps"], 1)]
    }


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
    cost = _cost(steps)
    return f"{' and '.join(cost)} in all" if cost else ""


def _cost(steps: list[Step]) -> list[str]:
    """Disk and time of all steps together, then of those whose input is not there; empty where a step says nothing."""
    known = [(step.disk_gb, step.minutes) for step in steps if step.disk_gb is not None and step.minutes is not None]
    by_size = [(step.disk_mb_per_mb, step.seconds_per_mb) for step in steps if step.disk_mb_per_mb]
    if len(known) + len(by_size) < len(steps):
        return []
    cost = []
    if known:
        disk_gb, minutes = map(sum, zip(*known, strict=True))
        cost += [f"{_size(disk_gb)} of disk", _time(minutes)]
    if by_size:
        disk_mb, seconds = map(sum, zip(*by_size, strict=True))
        cost += [f"about {disk_mb:.2g} MB of disk", f"{seconds:.2g} s for each MB of your files"]
    return cost


def _step(path: str, number: int, step: Any, yours_mb: float) -> Step:
    """One step; what it needs for each MB of the user's files is multiplied by their size, unless that is 0."""
    if isinstance(step, str):
        return Step(step)
    if not isinstance(step, dict) or not isinstance(step.get("run"), str) or not step.keys() <= set(STEP_KEYS):
        raise DataPrepError(f"{path} step {number}: a step is a command, or has the keys {', '.join(STEP_KEYS)}")
    keys = COST_PER_MB_KEYS if step.keys() & set(COST_PER_MB_KEYS) else COST_KEYS
    for name in keys:
        if not isinstance(step.get(name), int | float):
            raise DataPrepError(f"{path} step {number}: {name} is a number, got {step.get(name)!r}")
    cost = {name: step[name] for name in keys}
    if keys is COST_PER_MB_KEYS and yours_mb:
        disk_mb, seconds = (step[name] * yours_mb for name in keys)
        cost = {"disk_gb": disk_mb / 1000, "minutes": seconds / 60}
    return Step(step["run"], count=str(step.get("count", "")), **cost)


def _size(gb: float) -> str:
    return f"about {gb:.3g} GB" if gb >= 0.1 else "less than 0.1 GB"


def _time(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    if minutes < 100:
        return f"about {minutes:.0f} min"
    return f"about {minutes / 60:.0f} h" if minutes < 60 * 48 else f"about {minutes / 1440:.0f} days"
