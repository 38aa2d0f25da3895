"""``metrics.jsonl``: a resumed run cuts off what it will write again, however long the file is."""

import json
import time
from pathlib import Path

import pytest

from pretrain.training.metrics import MetricsFile


def write(folder: Path, steps: list[int]) -> Path:
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n" for step in steps))
    return path


def steps_of(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("last", [0, 1, 777, 4_999, 5_000, 9_999])
def test_lines_of_later_steps_go_and_all_others_stay(tmp_path, last):
    path = write(tmp_path, list(range(1, 5_001)))
    MetricsFile(tmp_path).cut_after(last)
    assert steps_of(path) == list(range(1, min(last, 5_000) + 1))


def test_what_was_seen_before_a_roll_back_stays(tmp_path):
    path = write(tmp_path, [1, 2, 3, 4, 5, 3, 4, 5, 6])
    MetricsFile(tmp_path).cut_after(4)
    assert steps_of(path) == [1, 2, 3, 4, 5, 3, 4]


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', '{"step": 3, "loss": 1.0}', "\0\0\0"])
def test_a_torn_last_line_goes(tmp_path, torn):
    path = write(tmp_path, [1, 2])
    path.write_text(path.read_text() + torn)
    MetricsFile(tmp_path).cut_after(3)
    assert steps_of(path) == [1, 2]


def test_resuming_costs_the_same_after_a_million_lines(tmp_path):
    path = write(tmp_path, list(range(1, 1_000_001)))
    began = time.perf_counter()
    MetricsFile(tmp_path).cut_after(999_990)
    assert time.perf_counter() - began < 0.1
    assert json.loads(path.read_text().splitlines()[-1])["step"] == 999_990
