"""Parts that other packages bring: entry points in groups ``polymerase.NAME``, loaded where their registry is read.

    polymerase.objectives            name -> a class as in ``pretrain/objectives``
    polymerase.objective_settings    the same name -> its section of a YAML, in a module that imports no framework
    polymerase.maskings              name -> a class as in ``pretrain/masking``
    polymerase.masking_settings      the same name -> its section of a YAML
    polymerase.tokenizers            name -> a function without arguments (or with options) that makes one
    polymerase.families              any name -> a Family, or several in a tuple
    polymerase.configs               any name -> a package whose folder holds YAML files, found as those of ``configs``
    polymerase.stages                name of a stage of ``data_prep`` -> its module (read by ``data_prep/stages``)

An installed package is code that its user chose to install: loading it runs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any

from pretrain.errors import PolymeraseError

PREFIX = "polymerase."


@cache
def _points(group: str) -> EntryPoints:
    return entry_points(group=PREFIX + group)  # reads the lists of all installed packages: tens of milliseconds


def plugins(group: str, taken: Iterable[str] = ()) -> dict[str, Any]:
    """Name -> object of each plug-in of a group, by name.

    Args:
        group: without its prefix.
        taken: names that the project has itself; a plug-in cannot take one over.

    Raises:
        PolymeraseError: a plug-in that cannot be loaded, or whose name is taken.
    """
    found: dict[str, Any] = {}
    for point in sorted(_points(group), key=lambda point: point.name):
        where = f"plug-in {point.name!r} of {point.dist.name if point.dist else 'an unknown package'}"
        if point.name in taken or point.name in found:
            raise PolymeraseError(
                f"{where}: {PREFIX}{group} has {point.name!r} already; uninstall one of them, or rename it"
            )
        try:
            found[point.name] = point.load()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise PolymeraseError(
                f"{where} ({point.value}) cannot be loaded: {type(error).__name__}: {reason}; fix or uninstall it"
            ) from None
    return found


def config_folders() -> list[Path]:
    """Folders with configs that plug-ins bring."""
    return [Path(folder) for package in plugins("configs").values() for folder in package.__path__]
