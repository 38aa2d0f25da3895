"""The recipes that travel with the project: each one reads, is planned, and says the truth about its own size."""

import re

import pytest
import yaml

from pretrain.config import load_config, phases_of
from pretrain.config.phases import phase_at
from pretrain.config.yaml_file import CONFIG_FOLDER
from pretrain.families import FAMILIES, find_family
from pretrain.planning.dry_run import plan_run
from pretrain.training.schedule import learning_rate

PUBLISHED = {path.stem: path for path in sorted(CONFIG_FOLDER.glob("*.yaml"))}
DEMO = {f"demo/{path.stem}": path for path in sorted((CONFIG_FOLDER / "demo").glob("*.yaml"))}
COMBINATIONS = {"everything", "phases", "soft_structure"}


pytestmark = pytest.mark.usefixtures("files_of_recipes")


def stem(family: str) -> str:
    """The file name of a family's recipe."""
    return "ernie" if family == "ernie_rna" else family


def test_every_family_has_a_recipe_and_a_small_twin():
    assert set(PUBLISHED) == {stem(name) for name in FAMILIES}
    assert set(DEMO) == {f"demo/{stem(name)}" for name in FAMILIES} | {f"demo/{name}" for name in COMBINATIONS}
    for name, family in FAMILIES.items():
        for config in (stem(name), f"demo/{stem(name)}"):
            assert load_config(f"{config}.yaml").model.family == family.name


@pytest.mark.parametrize("name", [*PUBLISHED, *DEMO])
@pytest.mark.parametrize("quirks", ["fixed", "upstream"])
def test_a_recipe_is_planned_without_its_corpus(name, quirks):
    plan = plan_run(load_config(f"{name}.yaml", [f"quirks={quirks}", "corpus.path=nowhere"]), 1)
    assert plan.problem is not None
    assert plan.problem.startswith("corpus 'nowhere' does not exist")
    assert plan.text.startswith("can start           no")
    assert "memory per rank     about" in plan.text


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_plan_has_the_parameters_of_the_published_model_and_of_the_comment(name):
    config = load_config(f"{name}.yaml", ["corpus.path=nowhere"])
    (planned,) = re.findall(r"^parameters +([\d,]+)$", plan_run(config, 1).text, re.M)
    family = find_family(config.model.family)
    assert int(planned.replace(",", "")) == family.parameters
    for stated in re.findall(r"^#   parameters +([\d,]+)", PUBLISHED[name].read_text(), re.M):
        assert stated == planned


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "phases:" in PUBLISHED[name].read_text()])
def test_phases_keep_the_number_of_sequences_of_a_step(name):
    steps = {phase.config.batch.sequences * phase.config.batch.accumulation
             for phase in phases_of(load_config(f"{name}.yaml"))}  # fmt: skip
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("name", "step", "rate", "masked"),
    [
        ("dnabert_6mer", 99_999, 4e-4 * (200_000 - 99_999) / 190_000, 0.15),
        ("dnabert_6mer", 100_000, 4e-4 * (200_000 - 100_000) / 190_000, 0.2),
        ("gpn_brassicales", 119_999, 1e-3, 0.15),
        ("gpn_brassicales", 120_000, 1e-3, 0.15),
        ("gpn_brassicales", 135_000, 0.5e-3, 0.15),
        ("gpn_promoter", 9_999, 1e-3, 0.15),
        ("gpn_promoter", 75_000, 0.5e-3, 0.15),
    ],
)
def test_published_phases_have_their_rates_and_masking(name, step, rate, masked):
    config = load_config(f"{name}.yaml")
    assert learning_rate(config)(step) == pytest.approx(rate, rel=1e-12)
    assert phase_at(phases_of(config), step).config.masking.rate == masked


def test_stages_of_hyenadna_grow_in_length():
    phases = phases_of(load_config("hyenadna_small_32k.yaml"))
    assert [phase.config.corpus.max_tokens for phase in phases] == [1024, 2048, 4096, 8192, 16384, 32768]


@pytest.mark.parametrize("path", sorted((CONFIG_FOLDER / "corpora").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_reads_the_corpus_that_its_corpus_recipe_makes(path):
    recipe = yaml.safe_load(path.read_text())
    if not (CONFIG_FOLDER / recipe["config"]).exists():
        pytest.skip(f"{recipe['config']} comes with its family")
    assert load_config(recipe["config"]).corpus.path == recipe["corpus"]


@pytest.mark.parametrize("name", FAMILIES)
def test_upstream_quirks_reach_the_recipe_of_their_family(name):
    config = load_config(f"{stem(name)}.yaml", ["quirks=upstream"])
    for key, value in FAMILIES[name].quirks.items():
        node = config
        for part in key.split("."):
            mixed = isinstance(node, list)
            node = next(p for p in node if p.strategy == part) if mixed else getattr(node, part)
        assert node == value, key


def test_lines_of_recipes_fit_a_screen():
    long = [f"{path.name}: {line}" for path in [*PUBLISHED.values(), *DEMO.values()]
            for line in path.read_text().splitlines() if len(line) > 120]  # fmt: skip
    assert not long
