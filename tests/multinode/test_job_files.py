"""Files for containers and clusters: they parse, agree with each other and with the project, and name what exists.

Nothing is built or submitted here: neither docker, conda nor a cluster is at hand. The commands of the SkyPilot task
run, on two "nodes" that are this machine.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.faults.processes import Run, kill_all
from tests.hang import HANG_S
from tests.training.ranks import ROOT, environment, free_port

DOCKERFILE = (ROOT / "launch/Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction, continued lines joined, comments removed."""
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined.splitlines()]


def job() -> tuple[dict, dict]:
    service, found = yaml.safe_load_all((ROOT / "launch/kubernetes.yaml").read_text())
    return service, found


def test_the_image_is_named_exactly_installs_the_pins_and_runs_as_nobody():
    words = instructions()
    assert words[0] == ("FROM", "python:3.12-slim-bookworm")
    installs = [rest for word, rest in words if word == "RUN" and "pip install" in rest]
    assert len(installs) == 1
    assert "--constraint constraints.txt" in installs[0]
    extras = re.search(r"\.\[([\w,]+)\]", installs[0])
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    users = [n for n, (word, _) in enumerate(words) if word == "USER"]
    assert users, "no user: it would run as root"
    assert not [word for word, _ in words[users[-1] :] if word == "RUN"]
    assert not re.search(r"(?i)token|password|secret|curl .*\|", DOCKERFILE)


def test_the_image_copies_what_the_install_needs_and_what_exists():
    copied = [source for word, rest in instructions() if word == "COPY" for source in shlex.split(rest)[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    assert {"pyproject.toml", "setup.py", "constraints.txt", PROJECT["readme"], "pretrain", "data_prep", "configs"} <= {
        *copied
    }
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not set(copied) & set(ignored)


def test_conda_and_docker_have_a_python_that_the_project_allows():
    tree = yaml.safe_load((ROOT / "launch/environment.yml").read_text())
    (python,) = [one for one in tree["dependencies"] if isinstance(one, str) and one.startswith("python=")]
    (pip,) = [one["pip"] for one in tree["dependencies"] if isinstance(one, dict)]
    lowest = tuple(map(int, re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["requires-python"]).groups()))
    for version in (python.removeprefix("python="), re.match(r"python:([\d.]+)-", instructions()[0][1])[1]):
        assert tuple(map(int, version.split("."))) >= lowest
    folder = ROOT / "launch"  # paths are those of the file, as conda reads them
    constraint, editable = pip
    assert (folder / constraint.removeprefix("--constraint ")).is_file()
    assert (folder / editable.removeprefix("--editable ").partition("[")[0] / "pyproject.toml").is_file()
    assert set(re.search(r"\[(.*)\]", editable)[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_nodes_ranks_and_rendezvous_of_the_kubernetes_job_agree():
    service, found = job()
    spec = found["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    options = dict(word.removeprefix("--").split("=", 1) for word in container["args"] if word.startswith("--n") or
                   word.startswith("--m"))  # fmt: skip
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == int(options["nnodes"])
    assert int(options["nproc_per_node"]) == container["resources"]["limits"]["nvidia.com/gpu"]
    assert options["node_rank"] == "$(JOB_COMPLETION_INDEX)"
    name, domain = options["master_addr"].split(".")
    assert (name, domain) == (f"{found['metadata']['name']}-0", service["metadata"]["name"])
    assert service["spec"]["clusterIP"] == "None" or service["spec"]["clusterIP"] is None
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
    assert int(options["master_port"]) == service["spec"]["ports"][0]["port"]


def test_the_kubernetes_job_saves_where_all_nodes_see_it_and_has_time_to():
    _, found = job()
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "persistentVolumeClaim" in volumes[mounts["/work/runs"]["name"]]
    assert pod["terminationGracePeriodSeconds"] >= 600
    assert pod["restartPolicy"] == "OnFailure"  # a run that was asked to stop ends with 75, and goes on


def test_the_command_of_the_kubernetes_job_is_one_that_a_dry_run_takes(tmp_path, monkeypatch, capsys, corpora):
    from pretrain.cli.pretrain import main

    (container,) = job()[1]["spec"]["template"]["spec"]["containers"]
    words = container["args"]
    script = words.index("launch/pretrain.py")
    assert (ROOT / words[script]).is_file()
    settings = [f"corpus.path={corpora['plain']}" if word.startswith("corpus.path=") else word
                for word in words[script + 1 :]]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main([*settings, "--dry-run", "--ranks", "16"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("script", ["slurm.sh", "demo.sh"])
def test_shell_scripts_parse(script):
    done = subprocess.run(["bash", "-n", str(ROOT / "launch" / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def sky() -> dict:
    return yaml.safe_load((ROOT / "launch/sky.yaml").read_text())


def test_the_skypilot_task_is_one_to_skypilot():
    task = pytest.importorskip("sky").Task.from_yaml(str(ROOT / "launch/sky.yaml"))
    assert (task.num_nodes, task.volumes) == (2, {"/shared": "polymerase"})


def test_what_the_page_gives_to_skypilot_by_name_is_a_variable_that_the_task_reads():
    page = (ROOT / "docs/cluster.md").read_text()
    (name,) = re.findall(r"^sky jobs launch launch/sky\.yaml --env (\w+)=", page, flags=re.M)
    assert name in sky()["envs"]
    assert f"${name} " in sky()["run"]


@pytest.mark.slow
def test_the_command_of_the_skypilot_task_trains_on_all_its_nodes(tmp_path, corpora):
    task, port = sky(), str(free_port())
    run = Run(tmp_path / "run", corpora["plain"], {"train__steps": 3})
    nodes = [
        subprocess.Popen(
            ["bash", "-c", task["run"].replace("--master_port=29500", f"--master_port={port}")],
            cwd=ROOT, stdout=(tmp_path / f"{rank}.log").open("w"), stderr=subprocess.STDOUT, start_new_session=True,
            env=environment(
                CONFIG=str(run.config), SETTINGS="train.log_every=1", SKYPILOT_NUM_NODES="2", SKYPILOT_NODE_RANK=rank,
                SKYPILOT_NUM_GPUS_PER_NODE="1", SKYPILOT_NODE_IPS="127.0.0.1\n127.0.0.1", DS_ACCELERATOR="cpu",
                PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            ),
        )
        for rank in "01"
    ]  # fmt: skip
    try:
        assert [node.wait(HANG_S) for node in nodes] == [0, 0], (tmp_path / "0.log").read_text()[-3000:]
    finally:
        kill_all(nodes)
    assert run.last_step() == 3
