"""What a dry run says about hundreds of ranks comes from formulas that hold for the runs that fit here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pretrain.config import check
from pretrain.planning.dry_run import plan_run
from tests.faults.processes import finish
from tests.multinode.hosts import Hosts, NotPermittedError
from tests.training.corpora import tree
from tests.training.ranks import ROOT, environment, free_port

WAYS = {f"{precision}, stage {stage}": (precision, stage) for stage in range(4) for precision in ("fp32", "bf16")}


def jobs(folder: Path, corpus: Path) -> dict[str, dict]:
    """Ten steps of every stage and precision, of a model whose weights count, three micro-batches per rank and step."""
    cut_all = folder / "cut-all.json"  # stage 3 leaves small parameters whole, which only matters in small models
    cut_all.write_text(json.dumps({"zero_optimization": {"stage3_param_persistence_threshold": 0}}))
    sizes = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 4}
    made = {}
    for name, (precision, stage) in WAYS.items():
        engine = {"zero_stage": stage, "precision": precision} | ({"deepspeed": str(cut_all)} if stage == 3 else {})
        config = tree(
            folder / name, corpus, engine=engine, batch__accumulation=3, train__steps=10, train__log_every=100,
            train__eval_sequences=2,
        )  # fmt: skip
        config["model"] |= sizes
        made[name] = config
    return made


def measured(folder: Path, jobs: dict[str, dict], prefixes: list[list[str]], address: str) -> dict[str, dict]:
    """Results of :mod:`tests.multinode.measure` on two ranks, each started behind its prefix.

    Every job has processes of its own: what an earlier engine leaves behind, or its going, would be counted.
    """
    found = {}
    for name, config in jobs.items():
        plan, results, port = folder / "job.json", folder / "result.json", str(free_port())
        plan.write_text(json.dumps(config))
        ranks = []
        for rank, prefix in enumerate(prefixes):
            env = environment(
                RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE="2", LOCAL_SIZE="1", MASTER_ADDR=address, MASTER_PORT=port
            )
            command = [*prefix, sys.executable, "-m", "tests.multinode.measure", str(plan), str(results)]
            with (folder / f"rank-{rank}.log").open("w") as log:
                ranks.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT))
        assert finish(ranks) == [0, 0], (folder / "rank-0.log").read_text()[-3000:]
        found[name] = json.loads(results.read_text())
        print(f"{name}:", {key: f"{number / 1e6:.1f} MB" for key, number in found[name].items()})
    return found


@pytest.fixture(scope="module")
def on_two_ranks(tmp_path_factory, corpora):
    """Measurements on two hosts if they may be made, or else on one, where nothing is sent over a cable."""
    folder = tmp_path_factory.mktemp("measured")
    tried = jobs(folder, corpora["plain"])
    try:
        with Hosts() as hosts:
            return measured(folder, tried, [hosts.on(0), hosts.on(1)], hosts.address(0)) | {"cable": True}
    except NotPermittedError:
        return measured(folder, tried, [[], []], "127.0.0.1") | {"cable": False}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_memory_per_rank_is_predicted_within_20_percent(on_two_ranks, way):
    assert on_two_ranks[way]["predicted peak"] == pytest.approx(on_two_ranks[way]["peak"], rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_bytes_sent_per_step_are_predicted_within_20_percent_of_those_on_the_cable(on_two_ranks, way):
    if not on_two_ranks["cable"]:
        pytest.skip("network namespaces are not permitted here, so there is no cable")
    assert on_two_ranks[way]["predicted sent"] == pytest.approx(on_two_ranks[way]["sent"], rel=0.2)


@pytest.mark.parametrize("ranks", [8, 64, 512])
def test_a_dry_run_plans_for_ranks_that_are_not_there(tmp_path, corpora, ranks):
    config = check(tree(tmp_path / "run", corpora["plain"], engine__zero_stage=2, engine__precision="bf16"), "test")
    said = plan_run(config, ranks).text
    for line in ("memory per rank", "communication", "checkpoint", "shards", "sampler", "tokens per step"):
        assert re.search(f"^{line} ", said, flags=re.M), said
    assert f"({ranks} micro-batches of" in said
    assert not (tmp_path / "run").exists()
