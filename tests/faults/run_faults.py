"""Every fault, and how often the run survived it. Takes about half an hour on two cores, launchers more.

    python tests/faults/run_faults.py                 50 kills, and every other fault once per case
    python tests/faults/run_faults.py --kills 200 --only kills --seed 2
    POLYMERASE_REPEATS=10 python tests/faults/run_faults.py --only launchers      each wrong input ten times
    python tests/faults/run_faults.py --only light    tracking stores, changed settings, what is held out: a few minutes

Survived means: after a kill, every published checkpoint is whole, the run takes up the newest one, and it ends in the
same weights and optimizer state, to the last bit, as a run that was left alone; for the other faults, what the test
of that name asserts. Exit status 1 if anything was not survived.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

import pytest

from tests.faults.kills import HOWS, ends_like, finish_undisturbed, kill_once, killable
from tests.faults.test_launchers import REPEATS
from tests.training.corpora import build_plain

STEPS = 250  # of a run that is killed
ROOT = Path(__file__).resolve().parents[2]
LAUNCHERS = "tests/faults/test_launchers.py"
LEAVES = "tests/training/test_what_a_run_leaves.py"
OTHERS = (
    "tests/faults",  # a tracking store that is locked, or new to several runs, among them
    "tests/multinode/test_hosts.py",
    f"{LEAVES}::test_a_server_that_does_not_answer_holds_nothing_up",
    f"{LEAVES}::test_what_a_store_missed_is_filled_in_by_the_next_process",
    f"{LEAVES}::test_a_store_that_answers_late_gets_everything_of_the_same_process",
    f"{LEAVES}::test_a_folder_with_characters_of_addresses_in_its_name_has_a_store_of_its_own",
    "tests/training/test_changed_settings.py",
    "tests/data/test_held_out.py",
    "tests/data/test_trained_before.py",
)
LIGHT = ("tests/faults/test_tracking.py", *OTHERS[2:])  # no ranks, no launchers


class Tally:
    """Cases tried and survived, by fault. As a pytest plugin it counts tests by their name."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.skipped: dict[str, str] = {}

    def add(self, fault: str, survived: bool) -> None:
        self.tried[fault] += 1
        self.survived[fault] += survived

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name, _, case = report.nodeid.rpartition("::")[2].partition("[")
        name = name.removeprefix("test_").replace("_", " ")
        if name.startswith("every error is one line"):  # a row for each launcher
            name = f"an error is one line: {case.rpartition('-')[0]}"
        if report.skipped:
            self.skipped[name] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "skipped"
        elif report.when == "call" or report.failed:
            for _ in range(REPEATS if name.startswith("an error is one line") else 1):
                self.add(name, report.passed)

    def table(self) -> str:
        rows = [("fault", "tried", "survived")]
        rows += [(fault, str(count), str(self.survived[fault])) for fault, count in self.tried.items()]
        rows += [(fault, "0", why) for fault, why in self.skipped.items()]
        rows.append(("all", str(self.tried.total()), str(self.survived.total())))
        width = max(len(row[0]) for row in rows)
        return "\n".join(f"{fault:<{width}}  {tried:>5}  {survived}" for fault, tried, survived in rows)


def run_kills(tally: Tally, count: int, seed: int, folder: Path) -> None:
    """Kill runs ``count`` times at random moments, until they are done, and compare their ends."""
    rng, corpus = random.Random(seed), build_plain(folder)
    undisturbed = killable(folder / "undisturbed", corpus, STEPS)
    finish_undisturbed(undisturbed)
    kills = chains = 0
    while kills < count:
        chains += 1
        run = killable(folder / f"killed-{chains}", corpus, STEPS)
        done = False
        while kills < count and not done:
            how = HOWS[kills % len(HOWS)]
            try:
                done = not kill_once(run, how, rng)
            except AssertionError:
                traceback.print_exc()
                tally.add(f"SIGKILL: {how}", False)
                kills, done = kills + 1, True
                continue
            if not done:
                tally.add(f"SIGKILL: {how}", True)
                kills += 1
                print(f"kill {kills}/{count}: {how}, at step {run.last_step()}", flush=True)
        finish_undisturbed(run)
        tally.add("a killed run ends in the bits of an undisturbed one", ends_like(run, undisturbed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how often runs are killed (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments")
    parser.add_argument("--only", choices=("kills", "others", "launchers", "light"), help="a part of it")
    args = parser.parse_args()
    tally, began = Tally(), time.monotonic()
    if args.only in (None, "kills"):
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            run_kills(tally, args.kills, args.seed, Path(folder))
    if args.only != "kills":
        paths = {"launchers": (LAUNCHERS,), "light": LIGHT}.get(args.only, OTHERS)
        words = ["-q", "-p", "no:cacheprovider", "-m", "slow or not slow", *(str(ROOT / path) for path in paths)]
        pytest.main(words, plugins=[tally])
    print(f"\n{tally.table()}\n({(time.monotonic() - began) / 60:.0f} minutes)")
    return 0 if tally.survived == tally.tried else 1


if __name__ == "__main__":
    sys.exit(main())
