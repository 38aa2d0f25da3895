"""The doctor reads job files: those of the project fit, and each change that would lose work is named."""

import json
from pathlib import Path

import pytest

from pretrain.__main__ import main
from pretrain.doctor import check_job_file

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
OURS = ("slurm.sh", "kubernetes.yaml", "sky.yaml")
CHANGES = [  # file, what stands there, what is put there, state, what the doctor says
    ("slurm.sh", "--ntasks-per-node=8", "--ntasks-per-node=1", "missing", "1 tasks but 8 GPUs a node"),
    ("slurm.sh", "#SBATCH --signal=USR1@600\n", "", "missing", "no signal before the time limit"),
    ("slurm.sh", "USR1@600", "B:USR1@600", "missing", "reaches the script alone"),
    ("slurm.sh", "USR1@600", "USR2@600", "missing", "a run saves and ends at TERM, INT, USR1"),
    ("slurm.sh", "USR1@600", "USR1@60", "note", "60 s before the time limit"),
    ("slurm.sh", "#SBATCH --requeue\n", "", "note", "not put back into the queue"),
    ("slurm.sh", "#SBATCH --open-mode=append\n", "", "note", "overwrites its log"),
    ("slurm.sh", "launch/pretrain.py", "launch/train.py", "missing", "does not start launch/pretrain.py"),
    ("kubernetes.yaml", "completions: 2", "completions: 3", "missing", "completions 3, --nnodes 2"),
    ("kubernetes.yaml", "nvidia.com/gpu: 8", "nvidia.com/gpu: 4", "missing", "8 ranks but 4 GPUs"),
    ("kubernetes.yaml", "  completionMode: Indexed\n", "", "missing", "have no number"),
    ("kubernetes.yaml", "OnFailure", "Never", "note", "not started again"),
    ("kubernetes.yaml", "terminationGracePeriodSeconds: 600", "hostNetwork: false", "missing", "30 s to save in"),
    ("kubernetes.yaml", "persistentVolumeClaim", "emptyDir", "missing", "checkpoints go with them"),
    ("kubernetes.yaml", "/dev/shm", "/tmp", "note", "64 MiB"),
    ("sky.yaml", "--node_rank=$SKYPILOT_NODE_RANK", "", "missing", "does not use SKYPILOT_NODE_RANK"),
    ("sky.yaml", "run.dir=/shared/runs/ernie", "", "missing", "no run.dir"),
    ("sky.yaml", "run.dir=/shared", "run.dir=/root", "missing", "lies on no volume"),
    ("sky.yaml", "volumes:\n", "file_mounts:\n", "missing", "cannot rename folders"),
]


@pytest.mark.parametrize("name", OURS)
def test_the_job_files_of_the_project_fit(name):
    (finding,) = check_job_file(LAUNCH / name)
    assert finding.state == "ok", finding


@pytest.mark.parametrize(("name", "old", "new", "state", "said"), CHANGES)
def test_what_would_lose_work_or_ranks_is_named_with_what_to_do(tmp_path, name, old, new, state, said):
    text = (LAUNCH / name).read_text()
    assert old in text
    (path := tmp_path / name).write_text(text.replace(old, new))
    found = [finding for finding in check_job_file(path) if said in finding.detail]
    assert [finding.state for finding in found] == [state], list(check_job_file(path))
    assert found[0].advice


@pytest.mark.parametrize(
    "text",
    ["", "kind: Job\nspec: []\n", "kind: Job\nspec: {template: {spec: {containers: {a: 1}, volumes: 7}}}\n",
     "kind: Job\nspec: {template: {spec: {containers: [{args: 5, volumeMounts: 5}]}}}\n",
     "kind: Job\nspec: {template: {spec: {containers: [5]}}}\n", "[1, 2]", "a: b: c",
     "run: x\nresources:\nnum_nodes: many\n", "#SBATCH --signal\n", "\x00"],
)  # fmt: skip
def test_any_other_file_is_a_finding(tmp_path, text):
    (path := tmp_path / "job").write_text(text)
    assert [finding for finding in check_job_file(path) if finding.state == "missing"]


def test_the_command_reads_several_files_and_fails_where_one_does_not_fit(tmp_path, capsys):
    (path := tmp_path / "job.sh").write_text((LAUNCH / "slurm.sh").read_text().replace("USR1@600", "USR2@600"))
    assert main(["doctor", "--job", str(LAUNCH / "sky.yaml"), "--job", str(path), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [(Path(one["name"]).name, one["state"]) for one in findings] == [("sky.yaml", "ok"), ("job.sh", "missing")]
    assert main(["doctor", "--job", str(LAUNCH / "slurm.sh")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "the job files fit a run"
    assert main(["doctor", "--job", str(tmp_path / "none")]) == 1
    assert main(["doctor", "--gpu", "--job", str(path)]) == 2
