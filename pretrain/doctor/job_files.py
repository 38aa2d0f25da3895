"""Files that start a run on a cluster: what in them would lose work, or start other ranks than is meant.

A SLURM script, a Kubernetes job or a SkyPilot task is read, not run. What a run needs of them is in docs/cluster.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pretrain.distributed.signals import STOP_SIGNALS
from pretrain.doctor.finding import Finding

_GRACE_S = 600  # longer than a step and a save of a base model take
_SCRIPT = "launch/pretrain.py"
_STOPS = [number.name.removeprefix("SIG") for number in STOP_SIGNALS]


def check_job_file(path: Path) -> Iterator[Finding]:
    """Read a job file and yield what is wrong with it; one finding that is ok where nothing is."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        yield Finding(str(path), "missing", f"cannot be read: {reason}", "give a job file")
        return
    kind, found = _read(text)
    if not kind:
        yield Finding(
            str(path), "missing", "no SLURM script, Kubernetes job or SkyPilot task",
            "expected #SBATCH lines, a YAML document with kind: Job, or one with run: and resources:",
        )  # fmt: skip
        return
    findings = [Finding(str(path), *one) for one in found]
    if _SCRIPT not in text and "pretrain.cli.pretrain" not in text and "polymerase pretrain" not in text:
        findings.append(Finding(str(path), "missing", f"does not start {_SCRIPT}", f"let it start {_SCRIPT}"))
    yield from findings or [Finding(str(path), "ok", f"{kind}: ranks, signals and folders agree")]


_Said = tuple[Literal["note", "missing"], str, str]  # state, detail, advice


def _read(text: str) -> tuple[str, Iterator[_Said] | tuple[()]]:
    """The kind of a file, "" where it is none, and what is to be said of it."""
    options = _slurm_options(text)
    if options:
        return "SLURM", _slurm(text, options)
    import yaml

    try:
        documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict)]
    except yaml.YAMLError:
        return "", ()
    for one in documents:
        if one.get("kind") == "Job":
            return "Kubernetes", _kubernetes(one)
        if isinstance(one.get("run"), str) and "resources" in one:
            return "SkyPilot", _sky(one)
    return "", ()


def _slurm_options(text: str) -> dict[str, str]:
    """Long options of the #SBATCH lines; "" where one has no value."""
    lines = re.findall(r"^#SBATCH[ \t]+--([a-z-]+)(?:[= \t]+(\S+))?", text, flags=re.M)
    return dict(lines)


def _slurm(text: str, options: dict[str, str]) -> Iterator[_Said]:
    tasks, gpus = options.get("ntasks-per-node"), options.get("gpus-per-node", options.get("gres"))
    count = re.search(r"(\d+)$", gpus or "")
    launcher = re.search(rf"\b(deepspeed|torchrun)\b[^\n]*{re.escape(_SCRIPT)}", text)
    if launcher is None and tasks and count and tasks != count[1]:
        yield (
            "missing", f"{tasks} tasks but {count[1]} GPUs a node: a rank has one GPU",
            f"--ntasks-per-node={count[1]}",
        )  # fmt: skip
    if launcher and re.search(r"\bsrun\b", text):
        yield (
            "note",
            f"{launcher[1]} inside srun: a job that saved itself counts as failed",
            "srun python, a task a GPU",
        )
    if launcher is None and _SCRIPT in text and not re.search(r"\b(srun|mpirun|mpiexec)\b", text):
        yield "missing", "no srun: one process of all would start", f"srun python {_SCRIPT} …"
    yield from _signal_of(options.get("signal"))
    if "requeue" not in options:
        yield "note", "a job that is preempted is not put back into the queue", "#SBATCH --requeue"
    elif options.get("open-mode") != "append":
        yield "note", "a requeued job overwrites its log", "#SBATCH --open-mode=append"


def _signal_of(asked: str | None) -> Iterator[_Said]:
    advice = f"#SBATCH --signal=USR1@{_GRACE_S}"
    if asked is None:
        yield "missing", "no signal before the time limit: steps since the last checkpoint are lost", advice
        return
    parts = re.fullmatch(r"(?:([BR]+):)?(?:SIG)?([A-Z0-9]+)(?:@(\d+))?", asked)
    if parts is None or parts[2] not in _STOPS:
        yield "missing", f"signal {asked}: a run saves and ends at {', '.join(_STOPS)}", advice
    elif "B" in (parts[1] or ""):
        yield "missing", f"signal {asked} reaches the script alone, not the ranks", advice
    elif int(parts[3] or 60) < _GRACE_S:
        yield "note", f"{parts[3] or 60} s before the time limit: a step and a save may take longer", advice


def _kubernetes(job: dict[str, Any]) -> Iterator[_Said]:
    spec = _dict(job.get("spec"))
    pod = _dict(_dict(spec.get("template")).get("spec"))
    container = _dict(next(iter(_list(pod.get("containers"))), None))
    words = [str(word) for key in ("command", "args") for word in _list(container.get(key))]
    nodes, ranks = (_option(words, name) for name in ("nnodes", "nproc_per_node"))
    parallel = str(spec.get("parallelism", 1))
    if (nodes or "1") != parallel or str(spec.get("completions", 1)) != parallel:
        yield (
            "missing", f"parallelism {parallel}, completions {spec.get('completions', 1)}, --nnodes {nodes or 1}",
            "all three are the number of nodes",
        )  # fmt: skip
    gpus = _dict(_dict(container.get("resources")).get("limits")).get("nvidia.com/gpu")
    if ranks and gpus is not None and str(gpus) != ranks:
        yield "missing", f"{ranks} ranks but {gpus} GPUs in a pod", f"--nproc_per_node={gpus}"
    if parallel != "1" and spec.get("completionMode") != "Indexed":
        yield "missing", "pods of several nodes have no number", "completionMode: Indexed"
    if pod.get("restartPolicy") == "Never":
        yield "note", "a run that was asked to stop is not started again", "restartPolicy: OnFailure"
    grace = pod.get("terminationGracePeriodSeconds", 30)
    if not isinstance(grace, int) or grace < _GRACE_S:
        yield "missing", f"{grace} s to save in: pods are killed then", f"terminationGracePeriodSeconds: {_GRACE_S}"
    volumes = [_dict(one) for one in _list(pod.get("volumes"))]
    if not any("persistentVolumeClaim" in one or "nfs" in one for one in volumes):
        yield "missing", "no volume that outlives the pods: checkpoints go with them", "mount one at run.dir"
    if not any(_dict(mount).get("mountPath") == "/dev/shm" for mount in _list(container.get("volumeMounts"))):
        yield "note", "/dev/shm has 64 MiB: NCCL and loader workers may fail", "mount an emptyDir with medium: Memory"


def _sky(task: dict[str, Any]) -> Iterator[_Said]:
    run, nodes = task["run"], task.get("num_nodes", 1)
    if nodes != 1:
        absent = [name for name in ("SKYPILOT_NODE_RANK", "SKYPILOT_NODE_IPS") if name not in run]
        if absent:
            yield "missing", f"{nodes} nodes, but run: does not use {', '.join(absent)}", "see launch/sky.yaml"
    text = " ".join([run, *(str(value) for value in _dict(task.get("envs")).values())])
    folder = re.search(r"\brun\.dir=(\S+)", text)
    if folder is None:
        yield "missing", "no run.dir: checkpoints go with the machine", "run.dir=/shared/runs/NAME on a volume"
        return

    def holds(mounts: Any) -> bool:
        return any(f"{folder[1]}/".startswith(f"{str(place).rstrip('/')}/") for place in _dict(mounts))

    if holds(task.get("file_mounts")):
        yield "missing", f"{folder[1]} lies in a bucket, which cannot rename folders", "put run.dir on a volume"
    elif not holds(task.get("volumes")):
        yield "missing", f"{folder[1]} lies on no volume: checkpoints go with the machine", "volumes: {/shared: NAME}"


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _option(words: list[str], name: str) -> str | None:
    """Value of --name in a list of words, as --name=V or --name V; None if it is not there."""
    for number, word in enumerate(words):
        if word in (f"--{name}", f"--{name.replace('_', '-')}"):
            return words[number + 1] if number + 1 < len(words) else None
        if word.startswith((f"--{name}=", f"--{name.replace('_', '-')}=")):
            return word.partition("=")[2]
    return None
