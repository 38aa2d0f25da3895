"""How every command behaves towards who types it: one line for wrong use, a bar on terminals only, a clean way out."""

import importlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from data_prep.formats.file_names import at_home
from data_prep.stages.command import parse_command
from pretrain.cli import export
from pretrain.cli.command import TRACEBACK, as_json, command
from pretrain.doctor import Finding, render
from pretrain.errors import PolymeraseError, RunError
from tests.faults.processes import hear_ctrl_c
from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.name for path in (ROOT / "launch").glob("*.py"))
COMMANDS = [[f"launch/{name}"] for name in SCRIPTS] + [
    ["-m", name] for name in ("data_prep", "pretrain", "pretrain.families")
]


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", TRACEBACK)}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **extra}


def answer(words: list[str], option: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words, option], cwd=ROOT, env=environment(), capture_output=True, text=True,
        timeout=HANG_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[-1])
def test_wrong_use_is_one_line_and_status_2(words):
    done = answer(words, "--no-such-option")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("name", "words", "line"),
    [
        ("compare", ["a", "b", "--tolerance", "-1"], "--tolerance: expected a number of 0 or more, got '-1'"),
        ("compare", ["a", "b", "--tolerance", "nan"], "--tolerance: expected a number of 0 or more, got 'nan'"),
        ("compare", ["a", "b", "--tolerance", "small"], "--tolerance: expected a number of 0 or more, got 'small'"),
        ("bench", ["a", "--lr", "inf"], "--lr: expected a number above 0, got 'inf'"),
        ("probe", ["a", "t.csv", "--lr", "0"], "--lr: expected a number above 0, got '0'"),
        ("probe", ["a", "t.csv", "--seed", "-3"], "--seed: expected an integer of 0 or more, got '-3'"),
        ("generate", ["a", "--seed", "1.5"], "--seed: expected an integer of 0 or more, got '1.5'"),
        ("generate", ["a", "--count", "²"], "--count: expected a positive integer, got '²'"),
        ("find_lr", ["--config", "a", "--low", "0"], "--low: expected a number above 0, got '0'"),
        ("benchmark", ["--config", "a", "--ranks", "0"], "--ranks: expected a positive integer, got '0'"),
        ("benchmark", ["--config", "a", "--seconds", "-1"], "--seconds: expected a number above 0, got '-1'"),
        ("benchmark", ["--config", "a", "--warmup", "-1"], "--warmup: expected an integer of 0 or more, got '-1'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_anything_is_read(name, words, line, capsys):
    assert importlib.import_module(f"pretrain.cli.{name}").main(words) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[-1])
def test_every_command_tells_its_version(words):
    done = answer(words, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"polymerase-lm [\d.]+ \(commit \w+(\+changes)?\), Python 3", done.stdout)
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("name", ["evaluate", "compare", "probe", "report", "find_lr", "benchmark"])
def test_commands_that_print_a_table_have_json(name):
    text = (ROOT / "pretrain" / "cli" / f"{name}.py").read_text()
    assert '"--json"' in text


def test_json_is_read_by_strict_readers():
    text = as_json({"loss": float("nan"), "rows": [(1.5, float("inf"))], "name": "x"})
    assert json.loads(text, parse_constant=pytest.fail) == {"loss": None, "rows": [[1.5, None]], "name": "x"}


@pytest.fixture(scope="module")
def long_fasta(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.fa"
    path.write_text("".join(f">r{number}\n{'ACGU' * 14}\n" for number in range(2000)))
    return path


def test_a_terminal_shows_a_bar_with_the_time_left_and_ctrl_c_ends_it_cleanly(tiny_run, long_fasta):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    words = [sys.executable, "launch/evaluate.py", str(tiny_run), "--fasta", str(long_fasta)]
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment(TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + HANG_S
    while b"<" not in shown.partition(b"nucleotides")[2] and time.monotonic() < deadline:  # 12/112000 [00:01<02:34, …
        shown += os.read(ours, 4096)
    os.kill(process.pid, signal.SIGINT)
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other side is gone
        pass
    assert process.wait(HANG_S) == 130, shown[-2000:]
    assert b"Traceback" not in shown
    assert shown.rstrip().endswith(b"interrupted")


def test_a_log_holds_no_bar(tiny_run, long_fasta):
    few = long_fasta.with_name("few.fa")
    few.write_text("".join(long_fasta.read_text().splitlines(keepends=True)[:8]))
    words = [sys.executable, "launch/evaluate.py", str(tiny_run), "--fasta", str(few)]
    done = subprocess.run(
        words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["pretrain.families"], ["data_prep", "--help"]])
def test_a_reader_who_leaves_is_no_reason_to_complain(words):
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(HANG_S) == 141


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (PolymeraseError("a.fa: empty"), 2, "error: a.fa: empty"),
        (RunError("lost rank 3"), 1, "error: lost rank 3"),
        (FileNotFoundError(2, "No such file or directory", "x.fa"), 2, "error: x.fa: No such file or directory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_is_raised_becomes_a_line_and_a_status(error, status, line, capsys, monkeypatch):
    monkeypatch.delenv(TRACEBACK, raising=False)

    @command
    def main() -> int:
        raise error

    assert main() == status
    assert capsys.readouterr().err == f"{line}\n"


def test_what_nobody_foresaw_is_a_line_too_and_a_traceback_where_asked_for(capsys, monkeypatch):
    monkeypatch.delenv(TRACEBACK, raising=False)

    @command
    def main() -> int:
        return 1 // 0

    assert main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ZeroDivisionError in tests/test_manners.py:")
    monkeypatch.setenv(TRACEBACK, "1")
    with pytest.raises(ZeroDivisionError):
        main()


def test_threads_that_wait_sleep_soon_unless_the_user_chose(monkeypatch):
    """torch reads it when it is imported, so a command must have said it before."""
    for chosen, value, expected in (
        (None, None, 1000),
        ("GOMP_SPINCOUNT", "7", 7),
        ("OMP_WAIT_POLICY", "ACTIVE", -1),
    ):
        for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
            monkeypatch.delenv(name, raising=False)
        if chosen:
            monkeypatch.setenv(chosen, value)
        assert command(lambda: int(os.environ.get("GOMP_SPINCOUNT", -1)))() == expected


def test_colors_go_off_when_asked(monkeypatch):
    findings = [Finding("gpu", "ok", "one"), Finding("disk", "missing", "none", "buy one")]
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in render(findings, color=True)
    assert "\x1b[" not in render(findings, color=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in render(findings, color=True)


def test_the_option_that_takes_colors_off_is_known():
    words = [sys.executable, "-m", "pretrain", "doctor", "--no-color", "--help"]
    done = subprocess.run(
        words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 0
    assert "--no-color" in done.stdout


def test_the_home_folder_is_put_in_where_shells_leave_its_sign(monkeypatch):
    """`--out=~/x` would make a folder of that name, and whoever removes it with rm -r loses another one."""
    monkeypatch.setenv("HOME", "/home/me")
    words = ["--out=~/x", "run.dir=~/y", "~/z", "~", "a~/b", "~other/c", "--label=~", "-", "x=1~/2"]
    wanted = ["--out=/home/me/x", "run.dir=/home/me/y", "/home/me/z", "/home/me", *words[4:6], "--label=/home/me"]
    assert [at_home(word) for word in words] == [*wanted, *words[7:]]
    args = export.parser().parse_args(["~/runs/a", "--out=~/exports/b"])
    assert (args.run_dir, args.out) == ("/home/me/runs/a", "/home/me/exports/b")
    _, options = parse_command(["fasta", "~/a.fa", "--out=~/corpora/a"])
    assert str(options.out) == "/home/me/corpora/a"
