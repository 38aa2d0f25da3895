"""Suites: YAML files that name tasks, their files, splits, metrics, sources and what others report on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pretrain.config.yaml_file import CONFIG_FOLDER, read_yaml
from pretrain.errors import PolymeraseError, unknown_name
from pretrain.evaluation.bench.files import Columns, Join, Split, read_task
from pretrain.evaluation.bench.kinds import AnyTask
from pretrain.evaluation.bench.letters import KIND as LETTERS
from pretrain.evaluation.bench.letters import read_letter_task
from pretrain.evaluation.bench.structures import read_structure_task
from pretrain.evaluation.bench.task import PublishedFigure
from pretrain.evaluation.bench.variants import Kinds, Range, read_variant_task

SUITE_FOLDER = CONFIG_FOLDER / "bench"
_ROLES = ("train", "dev", "test", "table", "vcf", "genome", "structures")
_COMPLETE = ({"table"}, {"train", "test"}, {"train", "dev", "test"}, {"vcf", "genome"}, {"structures"})


@dataclass(frozen=True)
class TaskEntry:
    """One task of a suite; fields are the keys of the YAML.

    Either ``train``, ``test`` and perhaps ``dev`` name files, or ``table`` one that is split by ``split``; or, without
    any training, ``vcf`` and ``genome`` (see :mod:`bench.variants`), or ``structures`` (see :mod:`bench.structures`).
    join: {file, key, word}: the table that describes the records of a FASTA. classes, most: see :class:`files.Columns`.
    positive, negative: what ``label``, an INFO key, says of either kind of variants: values, or {at_least, at_most}.
    longest_nt, fewest_pairs: of structures. limit: rows that are asked at most, evenly taken.
    published: [{name, source, metrics: {metric: figure}}] or [{name, source, column}], a column of predictions.
    kmer4: figure of 4-mer counts measured elsewhere on these rows, for tests.
    """

    train: str | None = None
    dev: str | None = None
    test: str | None = None
    table: str | None = None
    sequence: str = "sequence"
    label: str = "label"
    keep: Mapping[str, str] = field(default_factory=dict)
    log: bool = False
    kind: str = "auto"
    metric: str | None = None
    split: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[Mapping[str, Any], ...] = ()
    kmer4: float | None = None
    kmer4_positions: float | None = None
    join: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    vcf: str | None = None
    genome: str | None = None
    positive: Any = None
    negative: Any = None
    higher: str = "positive"
    structures: str | None = None
    longest_nt: int = 200
    fewest_pairs: int = 4
    limit: int = 2000

    def files(self) -> dict[str, str]:
        """Role -> file, relative to the data folder."""
        named = {role: getattr(self, role) for role in _ROLES} | {"join": self.join.get("file")}
        return {role: name for role, name in named.items() if name is not None}


@dataclass(frozen=True)
class Suite:
    """files: file -> sha256. sources: beginning of a file's name -> {source, from, license}."""

    path: Path
    tasks: dict[str, TaskEntry]
    files: dict[str, str]
    sources: dict[str, dict[str, str]]

    def about(self, file: str) -> dict[str, str]:
        """Where a file comes from and on what terms."""
        return next((one for start, one in self.sources.items() if file.startswith(start)), {})


def load_suite(name: str) -> Suite:
    """A suite of the project by its name, or any file of this form.

    Raises:
        PolymeraseError: no such suite, or a key that it does not have.
    """
    known = sorted(path.stem for path in SUITE_FOLDER.glob("*.yaml"))
    path = Path(name) if name.endswith((".yaml", ".yml")) else SUITE_FOLDER / f"{name}.yaml"
    if not path.is_file():
        if path.parent == SUITE_FOLDER:
            raise unknown_name("suite", name, known)
        raise PolymeraseError(f"{path}: no such file; the project has the suites {', '.join(known)}")
    tree = read_yaml(path)
    _only(path, tree, ("about", "sources", "files", "tasks"))
    if not isinstance(tree.get("tasks"), dict) or not tree["tasks"]:
        raise PolymeraseError(f"{path}: expected tasks: NAME: {{train: …, test: …}}, got {tree.get('tasks')!r}")
    tasks = {str(name): _entry(path, str(name), one) for name, one in tree["tasks"].items()}
    return Suite(path, tasks, tree.get("files") or {}, tree.get("sources") or {})


def tasks_of(suite: Suite, names: list[str] | None, data: Path, missing: dict[str, str]) -> Iterator[AnyTask]:
    """Tasks whose files are there, one after another; the others with a line each in ``missing``.

    Raises:
        PolymeraseError: a name that the suite does not have, a file with another checksum, or no task at all.
    """
    for name in names or ():
        if name not in suite.tasks:
            raise unknown_name(f"task in {suite.path}", name, suite.tasks)
    chosen = {name: suite.tasks[name] for name in names or suite.tasks}
    for name, entry in chosen.items():
        absent = [file for file in entry.files().values() if not (data / file).is_file()]
        if absent:
            about = suite.about(absent[0])
            missing[name] = (
                f"{data / absent[0]} is missing; get it from {about.get('from', 'its source')} (or give --data)"
            )
    if len(missing) == len(chosen):
        raise PolymeraseError(f"{suite.path.stem}: no task has its files: {next(iter(missing.values()))}")
    for name, entry in chosen.items():
        if name not in missing:
            yield _task(suite, name, entry, data)


def _task(suite: Suite, name: str, entry: TaskEntry, data: Path) -> AnyTask:
    for file in entry.files().values():
        _check_sum(data / file, suite.files.get(file))
    column = next((one for one in entry.published if "column" in one), None)
    files = {role: data / file for role, file in entry.files().items()}
    about = suite.about(next(iter(entry.files().values())))
    if entry.vcf is not None:
        kinds = Kinds(entry.label, _range(entry.positive), _range(entry.negative), entry.higher)
        return read_variant_task(name, files["vcf"], files["genome"], kinds, entry.limit, about)
    if entry.structures is not None:
        limits = (entry.longest_nt, entry.fewest_pairs, entry.limit)
        return read_structure_task(name, files["structures"], *limits, Split(**entry.split), about)
    about_join = {key: str(value) for key, value in (entry.join or {}).items() if key != "file"}
    join = Join(files.pop("join"), **about_join) if entry.join else None
    columns = Columns(
        entry.sequence, entry.label, entry.keep, entry.log, column["column"] if column else None, join, entry.classes,
        entry.most,
    )  # fmt: skip
    of = (column["name"], column["source"]) if column else ("", "")
    split = Split(**entry.split)
    if entry.kind == LETTERS:
        letters = read_letter_task(name, files, columns, split, entry.metric)
        return replace(letters, task=replace(letters.task, about=about))
    task = read_task(name, files, columns, split, entry.kind, entry.metric, of)
    reported = tuple(
        PublishedFigure(one["name"], one["source"], one["metrics"]) for one in entry.published if "metrics" in one
    )
    return replace(task, about=about, published=(*task.published, *reported))


def _check_sum(path: Path, expected: str | None) -> None:
    if expected is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise PolymeraseError(
            f"{path}: expected sha256 {expected[:16]}…, got {found[:16]}…; download it again, or give files of "
            "your own with --train, --dev and --test"
        )


def _range(said: Any) -> Range:
    """{at_least, at_most} of numbers, or a list of values."""
    if isinstance(said, Mapping):
        return Range(**said)
    return Range(values=tuple(str(value) for value in said or ()))


def _entry(path: Path, name: str, tree: Any) -> TaskEntry:
    if not isinstance(tree, dict):
        raise PolymeraseError(f"{path}: tasks.{name}: expected keys and values, got {tree!r}")
    _only(path, tree, [one.name for one in fields(TaskEntry)], f"tasks.{name}.")
    _only(path, tree.get("split", {}), [one.name for one in fields(Split)], f"tasks.{name}.split.")
    entry = TaskEntry(**{**tree, "published": tuple(tree.get("published", ()))})
    _only(path, entry.join, [one.name for one in fields(Join)], f"tasks.{name}.join.")
    for kind in ("positive", "negative"):
        if isinstance(said := getattr(entry, kind), Mapping):
            _only(path, said, ("at_least", "at_most"), f"tasks.{name}.{kind}.")
    roles = set(entry.files()) - {"join"}
    if roles not in _COMPLETE:
        raise PolymeraseError(
            f"{path}: tasks.{name}: expected train and test, table, vcf and genome, or structures, got {sorted(roles)}"
        )
    return entry


def _only(path: Path, tree: Mapping[str, Any], known: Any, where: str = "") -> None:
    for key in tree:
        if key not in known:
            raise unknown_name(f"key in {path}", f"{where}{key}", [f"{where}{one}" for one in known])
