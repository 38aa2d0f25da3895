"""Recipe files: how a published corpus is built, with the counts to expect beside the published ones."""

import shlex
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from data_prep.errors import DataPrepError

KEYS = ("corpus", "config", "steps", "counts", "uncertain")


def load_recipe(path: str | Path) -> dict[str, Any]:
    """A recipe: {corpus, config, steps, counts, uncertain}. Raises DataPrepError naming the file and what is wrong.

    corpus: folder that the last step fills; config: training configuration it is for; steps: commands after
    `python -m data_prep`; counts: [{what, published, expected}]; uncertain: what the publication leaves open.
    """
    try:
        recipe = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise DataPrepError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataPrepError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(recipe, dict) or not set(KEYS[:3]) <= recipe.keys() <= set(KEYS):
        raise DataPrepError(f"{path}: a recipe has the keys {', '.join(KEYS)} (the first three are needed)")
    if not isinstance(recipe["steps"], list) or not all(isinstance(step, str) for step in recipe["steps"]):
        raise DataPrepError(f"{path}: steps is a list of commands, each one text")
    return recipe


def words_of(step: str) -> list[str]:
    """The words of a command as a shell would give them: quotes, and patterns of file names (`*`) that match files.

    A pattern that matches nothing stays as it is; the stage then says which file is missing.
    """
    words = []
    for word in shlex.split(step):
        words += (sorted(glob(word)) if "*" in word else []) or [word]
    return words
