"""Every command of docs/cluster.md is run, here as it stands or, where it needs a cluster, with stand-ins elsewhere."""

import re

import pytest

from data_prep.__main__ import main as prepare
from tests.docs.reader import ROOT, Reader, blocks

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def test_commands_that_need_no_cluster_do_what_the_page_says(tmp_path):
    for name in ("launch", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    reader = Reader(tmp_path)
    assert prepare(["sample", "--out", str(tmp_path / "corpora/demo"), "--sequences", "200"]) == 0
    reader.follow("cluster.md")
    _, said = reader.outputs.values()  # of the doctor, and of the plan
    assert "ranks               512" in said
    assert re.search(r"^communication +about [\d.]+ GiB sent by each rank in each step", said, flags=re.M)


@pytest.mark.parametrize("block", [block.text for block in blocks(PAGE) if block.language == "text"])
def test_commands_that_need_a_cluster_name_the_test_that_tries_their_words(block):
    paragraph = PAGE[: PAGE.index(block)].split("\n\n")[-2]
    (test,) = re.findall(r"`(tests/[\w/]+\.py)`", paragraph)
    tried = (ROOT / test).read_text(encoding="utf-8") + (ROOT / "launch" / "slurm.sh").read_text(encoding="utf-8")
    words = set(re.findall(r"(?<=\s)--[\w-]+", block)) - {"--config"} | set(re.findall(r"^\w+", block, flags=re.M))
    words -= {"kubectl"}  # the page says that its file has not been submitted
    assert words
    assert [word for word in words if word not in tried] == []


def test_settings_of_the_page_exist_with_the_defaults_it_names():
    from pretrain.config.sections import Engine, Train

    defaults = {f"engine.{k}": f.default for k, f in Engine.model_fields.items()}
    defaults |= {f"train.{k}": f.default for k, f in Train.model_fields.items()}
    named = set(re.findall(r"`((?:engine|train)\.\w+)[`=:]", PAGE))
    assert named
    assert named - set(defaults) == set()
    for key, number in re.findall(r"^\| `((?:engine|train)\.\w+)` \|.*\((\d+)[,);]", PAGE, flags=re.M):
        assert float(number) == defaults[key], key


def test_the_table_of_memory_is_what_the_plan_prints():
    from pretrain.config import load_config
    from pretrain.planning.dry_run import plan_run

    rows = re.findall(r"^\| (\d+) \| (\d) \| ([\d.]+) GiB \| ([\d.]+) GiB \|$", PAGE, flags=re.M)
    assert len(rows) == 6
    for ranks, stage, memory, sent in rows:
        config = load_config("ernie.yaml", [f"engine.zero_stage={stage}"])
        said = plan_run(config, int(ranks)).text
        assert f"memory per rank     about {memory} GiB at ZeRO stage {stage}" in said
        assert f"communication       about {sent} GiB sent by each rank" in said
