"""kill -9 at any moment, then the same command again: the same bytes as an undisturbed run."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus import writer as writer_module
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from tests.hang import HANG_S


def start(root, *arguments):
    command = [sys.executable, "-m", "data_prep", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_and_rerun(root, tmp_path, moments, *arguments):
    """Kill the command after each share of its undisturbed time, rerun it, compare."""
    started = time.monotonic()
    assert start(root, *arguments, "--out", tmp_path / "straight").wait() == 0
    duration = time.monotonic() - started
    kept = []
    for number, moment in enumerate(moments):
        out = tmp_path / str(number) / "c"
        process = start(root, *arguments, "--out", out)
        time.sleep(moment * duration)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if not out.exists():
            with pytest.raises(DataPrepError):
                open_corpus(out)
            if (partial := out.with_name(".c.partial")).joinpath("manifest.json").exists():
                open_corpus(partial, verify=True)  # killed just before the rename: whole, or it may not open
        kept.append(len(list(out.with_name(".c.partial").rglob("*.arrow"))))
        again = start(root, *arguments, "--out", out)
        _, error = again.communicate()
        assert again.returncode == 0, error
        assert content(out) == content(tmp_path / "straight")
        assert not out.with_name(".c.partial").exists()
    return kept


def write_fasta(path, records):
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), (records, 40))
    path.write_bytes(b"".join(b">r%d\n%s\n" % (row, letters[row].tobytes()) for row in range(records)))
    return path


def write_corpus(out, rows):
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGU", np.uint8), (rows, 150))
    with SequenceWriter(out, stage="test", parameters={}) as writer:
        writer.append("train", [f"r{row}" for row in range(rows)], [letters[row].tobytes() for row in range(rows)])
        writer.finish(Tally())
    return out


def test_killed_fasta_runs_end_in_the_same_bytes(root, tmp_path):
    source = write_fasta(tmp_path / "x.fa", 300_000)
    kill_and_rerun(root, tmp_path, [0.5, 0.8, 0.95], "fasta", source)


def test_killed_fold_runs_end_in_the_same_bytes(root, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_ROWS", 50)
    corpus = write_corpus(tmp_path / "in", 250)
    kept = kill_and_rerun(root, tmp_path, [0.5, 0.9], "fold", corpus, "--executor", "local:1", "--cache", "none")
    assert max(kept) > 0  # finished shards were there to keep


@pytest.mark.slow
def test_twenty_random_kills_of_fasta(root, tmp_path):
    generator = random.Random(0)
    source = write_fasta(tmp_path / "x.fa", 600_000)
    kill_and_rerun(root, tmp_path, [generator.random() for _ in range(20)], "fasta", source)


@pytest.mark.slow
def test_twenty_random_kills_of_fold(root, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_ROWS", 50)
    generator = random.Random(0)
    corpus = write_corpus(tmp_path / "in", 400)
    moments = [generator.random() for _ in range(20)]
    kill_and_rerun(root, tmp_path, moments, "fold", corpus, "--executor", "local:2", "--cache", "none")


def test_workers_end_with_their_parent(root, tmp_path):
    corpus = write_corpus(tmp_path / "in", 3000)
    process = start(root, "fold", corpus, "--out", tmp_path / "c", "--executor", "local:2", "--cache", "none")
    deadline = time.monotonic() + HANG_S
    while len(members := session_of(process.pid)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(members) >= 3
    time.sleep(1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while session_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not session_of(process.pid)


def session_of(leader):
    """Live processes of the session that `leader` started."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdecimal() and os.getsid(int(entry)) == leader:
                found.append(int(entry))
        except ProcessLookupError:
            continue
    return found
