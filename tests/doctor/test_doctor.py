"""The doctor finds what is broken and says what to do; a healthy installation passes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pretrain import doctor
from pretrain.__main__ import main
from pretrain.doctor import Finding, examine, render, storage, versions
from tests.hang import HANG_S


def states(findings):
    return {finding.name: finding.state for finding in findings}


def test_this_installation_is_healthy(root, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pretrain", "doctor", "--json", "--dir", str(tmp_path)],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=HANG_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["healthy"]
    found = {finding["name"]: finding["state"] for finding in result["findings"]}
    wanted = {"python", "libraries", "gloo", "deepspeed", "ViennaRNA", "disk", "mlflow"}
    assert {name: found[name] for name in wanted} == dict.fromkeys(wanted, "ok")
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_a_library_that_is_missing_or_too_old_is_named_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(versions, "_requirements", lambda: ["numpy>=2", "torch>=99", "no-such-library>=1.5"])
    findings = {finding.name: finding for finding in versions.check_libraries()}
    assert findings["torch"].state == "missing"
    assert findings["no-such-library"].advice == "pip install 'no-such-library>=1.5'"
    assert findings["libraries"].detail.startswith("numpy 2")


def test_a_gpu_that_is_needed_and_not_there_fails(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert states(doctor.check_gpus(True)) == {"gpu": "missing"}
    assert states(doctor.check_gpus(False)) == {"gpu": "note"}


def test_a_folder_that_cannot_be_written_fails(tmp_path):
    (tmp_path / "file").write_text("")
    assert states(storage.check_disk(tmp_path / "not" / "yet" / "there")) == {"disk": "ok"}
    (finding,) = storage.check_disk(Path("/proc/nothing/here"))
    assert finding.state == "missing"
    assert finding.advice


def test_a_tracking_server_that_does_not_answer_is_noted_not_fatal(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (finding,) = storage.check_tracking()
    assert finding.state == "note"
    assert "127.0.0.1:9" in finding.detail


def test_a_check_that_breaks_is_a_finding(monkeypatch, tmp_path):
    def broken():
        raise RuntimeError("libfoo.so.1:\n cannot open shared object file")

    monkeypatch.setattr(doctor, "checks", lambda folder, needs_gpu: {"thing": broken})
    (finding,) = examine(tmp_path, False)
    assert finding == Finding(
        "thing", "missing", "the check itself failed: libfoo.so.1: cannot open shared object file",
        "see the library's own help",
    )  # fmt: skip


def test_the_exit_status_follows_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "checks", lambda folder, needs_gpu: {"a": lambda: iter([Finding("a", "note", "old")])})
    assert main(["doctor"]) == 0
    assert "everything that is needed works" in capsys.readouterr().out
    bad = Finding("b", "missing", "gone", "get it")
    monkeypatch.setattr(doctor, "checks", lambda folder, needs_gpu: {"b": lambda: iter([bad])})
    assert main(["doctor"]) == 1
    assert "get it" in capsys.readouterr().out


@pytest.mark.parametrize("no_color", [True, False])
def test_colors_are_off_when_asked(monkeypatch, no_color):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    assert ("\x1b[" in render([Finding("a", "ok", "fine")], color=True)) is not no_color
    assert "\x1b[" not in render([Finding("a", "ok", "fine")], color=False)
