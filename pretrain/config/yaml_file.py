"""YAML files with ``base:`` inheritance and ``section.key=value`` overrides, as plain nested dictionaries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pretrain.errors import PolymeraseError
from pretrain.plugins import config_folders

_PACKAGE = Path(__file__).resolve().parents[1]
# of a clone, or of an installed wheel
CONFIG_FOLDER = next(
    (folder for folder in (_PACKAGE.parent / "configs", _PACKAGE / "configs") if (folder / "ernie.yaml").is_file()),
    _PACKAGE.parent / "configs",
)


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads numbers as people write them, and refuses a key written twice.

    YAML 1.1 takes 0123 for 83, 1:30 for 90, 2026-01-02 for a date and 1e-4 for text. Here these are 123, text, text and
    a number.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {min(twice)!r} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


_INT, _FLOAT, _DATE = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_NUMBERS = {
    _INT: r"[-+]?(\d[\d_]*|0x[\da-fA-F]+)",
    _FLOAT: r"[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in kinds if tag not in (_INT, _FLOAT, _DATE)]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), list("-+0123456789."))


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    return int(text, 16 if "x" in text else 10)


_Loader.add_constructor(_INT, _whole_number)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes texts which :class:`_Loader` would read as a number."""


_Dumper.add_implicit_resolver(_FLOAT, re.compile(f"(?:{_NUMBERS[_FLOAT]})$"), list("-+0123456789."))


def as_yaml(tree: dict[str, Any]) -> str:
    """Return text that :func:`read_yaml` reads back as it was."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False)


def find_config(name: str) -> Path:
    """Find a config file: as given, or of that name under ``configs/`` (with or without ``.yaml``)."""
    for path in (Path(name), CONFIG_FOLDER / name, CONFIG_FOLDER / f"{name}.yaml"):
        if path.is_file():
            return path
    for folder in config_folders():
        for path in (folder / name, folder / f"{name}.yaml"):
            if path.is_file():
                return path
    known = ", ".join(
        sorted(str(p.relative_to(CONFIG_FOLDER)) for p in CONFIG_FOLDER.rglob("*.yaml") if "corpora" not in p.parts)
    )
    raise PolymeraseError(f"config {name!r} not found (looked as given and under configs/); available: {known}")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one file over the files it names under ``base:`` (relative to itself); the outer file wins."""
    return _read(path, ())


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in seen:
        raise PolymeraseError(f"{path}: base: refers back to this file; break the cycle")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader: builds plain values only
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolymeraseError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise PolymeraseError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(tree, dict):
        raise PolymeraseError(f"{path}: expected a mapping of sections, got {type(tree).__name__}")
    tree = {key: {} if section is None else section for key, section in tree.items()}  # a section with nothing in it
    base = tree.pop("base", {})
    if base == {}:
        return tree
    base_path = path.parent / str(base)
    if not base_path.is_file():
        raise PolymeraseError(f"{path}: base: {base} does not exist (looked for {base_path})")
    return merge(_read(base_path, (*seen, path)), tree)


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge ``above`` over ``below``, key by key; lists and values are replaced whole.

    A ``masking`` of another strategy replaces the whole section: its keys mean nothing to the new strategy. Another
    length of the run replaces the phases below it, whose lengths add up to theirs: the run is one phase then.
    """
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and not _other_strategy(old, value):
            result[key] = merge(old, value)
            if key == "train" and "steps" in value and "phases" not in value and old.get("phases"):
                result[key]["phases"] = []
        else:
            result[key] = value
    return result


def _other_strategy(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "strategy" in new and "strategy" in old and new["strategy"] != old["strategy"]


def parse_overrides(words: list[str]) -> dict[str, Any]:
    """Parse ``["train.steps=10", "corpus.path=x"]`` to a nested dictionary; values are read as YAML."""
    tree: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*", key):
            raise PolymeraseError(f"expected section.key=value, got {word!r}; write, for example, train.steps=1000")
        try:
            value = yaml.load(text, _Loader) if text else ""
        except yaml.YAMLError as error:
            raise PolymeraseError(f"{key}: cannot read the value {text!r}: {' '.join(str(error).split())}") from None
        tree = merge(tree, nested(key, value))
    return tree


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return ``{"a": {"b": 1}}`` for ``("a.b", 1)``."""
    tree: Any = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return tree
