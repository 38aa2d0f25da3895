"""Where a value comes from: defaults, base files, the file, the family's quirks, the command line."""

import pickle
import textwrap
from pathlib import Path

import pytest

from pretrain.config import Config, dump, load_config, save
from pretrain.config.yaml_file import CONFIG_FOLDER
from pretrain.errors import PolymeraseError

WHOLE = """
    model: {family: ernie_rna}
    masking: {strategy: base, rate: 0.2}
    objectives: {mlm: {}}
    batch: {tokens: 100}
    train: {steps: 10}
"""


@pytest.fixture
def write(tmp_path):
    def file(text: str, name: str = "run.yaml") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return str(path)

    return file


@pytest.mark.parametrize("name", ["ernie.yaml", "mutbert.yaml", "rnaernie.yaml"])
def test_a_config_reaches_another_process_as_it_is(name):
    config = load_config(name, ["model.rope_scaling={type: linear, factor: 2.0}"] if name == "mutbert.yaml" else [])
    received = pickle.loads(pickle.dumps(config))
    assert received == config
    assert received.model_fields_set == config.model_fields_set
    assert received.model.model_fields_set == config.model.model_fields_set


def test_what_a_file_leaves_out_has_its_default(write):
    config = load_config(write(WHOLE))
    assert (config.optimizer.name, config.engine.zero_stage, config.masking.mask_fraction) == ("adamw", 1, 0.8)


def test_a_run_is_called_after_its_file_unless_it_has_a_folder(write):
    assert load_config(write(WHOLE, "mine.yaml")).run.dir == "runs/mine"
    assert load_config(write(WHOLE), ["run.dir=elsewhere"]).run.dir == "elsewhere"


def test_the_outer_file_wins_key_by_key_over_its_bases(write):
    write(WHOLE, "grandparent.yaml")
    write("base: grandparent.yaml\nbatch: {tokens: 50, sequences: 7}\ntrain: {save_every: 5}\n", "parent.yaml")
    config = load_config(write("base: parent.yaml\nbatch: {sequences: 8}\n"))
    assert (config.batch.tokens, config.batch.sequences) == (50, 8)
    assert (config.train.steps, config.train.save_every, config.masking.rate) == (10, 5, 0.2)


def test_a_base_is_looked_up_beside_the_file_that_names_it(write, tmp_path, monkeypatch):
    write(WHOLE, "below/whole.yaml")
    write("base: below/whole.yaml\n", "parent.yaml")
    path = write("base: ../parent.yaml\n", "other/run.yaml")
    monkeypatch.chdir("/")
    assert load_config(path).batch.tokens == 100


def test_another_masking_strategy_drops_the_keys_of_the_one_below(write):
    write(WHOLE, "parent.yaml")
    path = write("base: parent.yaml\nmasking: {strategy: span, max_length: 9}\n")
    config = load_config(path)
    assert (config.masking.strategy, config.masking.max_length, config.masking.rate) == ("span", 9, 0.15)
    assert load_config(path, ["masking.strategy=base"]).masking.strategy == "base"


def test_the_same_masking_strategy_keeps_them(write):
    write(WHOLE, "parent.yaml")
    assert load_config(write("base: parent.yaml\nmasking: {strategy: base, count: ceil}\n")).masking.rate == 0.2


def test_a_section_with_nothing_in_it_says_nothing(write):
    write(WHOLE, "parent.yaml")
    config = load_config(write("base: parent.yaml\nmodel:\n  # hidden_size: 64\nmasking:\n"))
    assert (config.model.family, config.masking.rate) == ("ernie_rna", 0.2)


def test_the_command_line_wins_and_its_last_word_counts(write):
    words = ["batch.tokens=7", "train.steps=11", "train.steps=12", "objectives.structure.weight=0.5"]
    config = load_config(write(WHOLE), words)
    assert (config.batch.tokens, config.train.steps) == (7, 12)
    assert (config.objectives.structure.weight, config.objectives.mlm.weight) == (0.5, 1.0)


def test_null_turns_an_objective_off(write):
    config = load_config(write(WHOLE), ["objectives.mlm=null", "objectives.mfe={}"])
    assert list(config.objectives.active()) == ["mfe"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E-4", 1e-4), ("+1.e-4", 1e-4), (".5e-3", 5e-4), ("1.0e-4", 1e-4), ("2", 2.0), ("0.1", 0.1)],
)
def test_numbers_are_read_as_people_write_them(write, text, value):
    assert load_config(write(WHOLE), [f"optimizer.lr={text}"]).optimizer.lr == value
    assert load_config(write(textwrap.dedent(WHOLE) + f"optimizer: {{lr: {text}}}\n")).optimizer.lr == value


def test_a_number_with_zeros_in_front_is_that_number_and_a_date_is_a_text(write, tmp_path):
    """YAML 1.1 reads 0123 as 83 and a date as a date; run folders are called by dates."""
    words = ["run.seed=0123", "run.dir=2026-01-02", "train.steps=1_000", "tracking.group=1:30", "run.seed=010"]
    config = load_config(write(textwrap.dedent(WHOLE)), words)
    assert (config.run.seed, config.run.dir, config.train.steps) == (10, "2026-01-02", 1000)
    assert config.tracking.group == "1:30"
    filed = textwrap.dedent(WHOLE) + "run: {seed: 0123, dir: 2026-01-02}\n"
    assert load_config(write(filed)).run.model_dump() == {"seed": 123, "dir": "2026-01-02"}


@pytest.mark.parametrize(
    "text", ["0123", "12e45", "1e5", "2026-01-02", "1:30", "0x1F", "1_000", ".5", "yes", "~", "-.inf"]
)
def test_a_text_that_looks_like_something_else_is_saved_as_the_text(write, tmp_path, text):
    config = load_config(write(WHOLE), [f"tracking.group='{text}'"])
    save(config, tmp_path / "config.yaml")
    assert load_config(str(tmp_path / "config.yaml")).tracking.group == text


def test_the_home_folder_is_put_in_wherever_a_text_begins_with_it(write, monkeypatch):
    """A shell leaves the sign in run.dir=~/x; as a folder of that name it would lie in the way."""
    monkeypatch.setenv("HOME", "/home/me")
    filed = textwrap.dedent(WHOLE) + "corpus: {path: ~/corpora/a, extra: [{path: ~/corpora/b}]}\n"
    config = load_config(write(filed), ["run.dir=~/runs/x", "model.init_from=~/exports/y"])
    assert (config.corpus.path, config.corpus.extra[0].path) == ("/home/me/corpora/a", "/home/me/corpora/b")
    assert (config.run.dir, config.model.init_from) == ("/home/me/runs/x", "/home/me/exports/y")


def test_upstream_quirks_lie_over_the_file_and_under_the_command_line(write):
    path = write(textwrap.dedent(WHOLE) + "quirks: upstream\n")
    quirks = load_config(path)
    assert quirks.objectives.reduction == "sequence_weighted"
    assert (quirks.masking.specials_selectable, quirks.masking.random_ids) == (True, "vocabulary_from:4")
    assert quirks.masking.rate == 0.2
    above = load_config(path, ["objectives.reduction=sum"])
    assert (above.objectives.reduction, above.masking.specials_selectable) == ("sum", True)
    fixed = load_config(path, ["quirks=fixed"])
    assert (fixed.objectives.reduction, fixed.masking.specials_selectable) == ("global_mean", False)


def test_quirks_replace_what_the_file_itself_says(write):
    text = WHOLE.replace("{mlm: {}}", "{mlm: {}, reduction: sum}")
    assert load_config(write(text), ["quirks=upstream"]).objectives.reduction == "sequence_weighted"


def test_quirks_of_an_objective_that_is_off_leave_it_off(write):
    path = write(WHOLE)
    words = ["quirks=upstream", "model.family=utr_lm"]
    assert load_config(path, words).objectives.structure is None
    assert load_config(path, [*words, "objectives.structure={}"]).objectives.structure.label_shift == -1
    off = [*words, "objectives.structure=null"]
    assert load_config(write(WHOLE.replace("mlm: {}", "mlm: {}, structure: {}")), off).objectives.structure is None


def test_quirks_of_masking_apply_to_strategies_that_have_the_key(write):
    span = load_config(write(WHOLE), ["quirks=upstream", "masking={strategy: span}"])
    assert (span.masking.random_ids, span.objectives.reduction) == ("vocabulary_from:4", "sequence_weighted")
    parts = "masking={strategy: mixture, parts: [{strategy: base}, {strategy: span}]}"
    mixture = load_config(write(WHOLE), ["quirks=upstream", parts])
    assert [part.random_ids for part in mixture.masking.parts] == ["nucleotides", "nucleotides"]


def test_quirks_of_parts_reach_the_parts_of_a_mixture_and_their_strategy_alone():
    def parts(*words):
        return {part.strategy: part for part in load_config("rnaernie.yaml", list(words)).masking.parts}

    fixed, upstream = parts(), parts("quirks=upstream")
    assert (fixed["span"].upstream_cut, fixed["span"].shortfall, fixed["motif"].alphabet) == (
        False,
        "fill",
        "normalised",
    )
    assert (upstream["span"].upstream_cut, upstream["span"].shortfall) == (True, "none")
    motif = upstream["motif"]
    assert (motif.alphabet, motif.order, motif.shortfall) == ("literal", "in_turn", "none")
    assert upstream["base"] == fixed["base"]
    given = parts("quirks=upstream", "masking.parts=[{strategy: span, shortfall: fill}]")["span"]
    assert (given.upstream_cut, given.shortfall) == (True, "fill")  # what the command line says wins
    words = ["quirks=upstream", "masking={strategy: span, min_length: 4}"]
    alone = load_config("rnaernie.yaml", words).masking
    assert (alone.upstream_cut, alone.min_length) == (True, 4)
    assert load_config("rnaernie.yaml", [*words, "masking.upstream_cut=false"]).masking.upstream_cut is False


@pytest.mark.parametrize("words", [[], ["quirks=upstream"], ["quirks=upstream", "objectives.reduction=global_mean"]])
def test_a_saved_config_reads_back_as_it_was(write, tmp_path, words):
    words = [*words, "optimizer.betas=[0.9, 0.98]", "corpus.extra=[{path: x, weight: 2}]", "optimizer.lr=1e-4"]
    config = load_config(write(WHOLE), words)
    save(config, tmp_path / "config.yaml")
    assert load_config(str(tmp_path / "config.yaml")) == config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "run.yaml"]


OF_OTHERS = {"corpora", "bench"}  # recipes of corpora and lists of tasks: no configs of runs
FILES = [path.relative_to(CONFIG_FOLDER) for path in CONFIG_FOLDER.rglob("*.yaml")]
PUBLISHED = sorted(str(path) for path in FILES if path.parts[0] not in OF_OTHERS)


@pytest.mark.usefixtures("files_of_recipes")
@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("words", [[], ["quirks=upstream"]])
def test_published_configs_are_right_and_read_back_as_they_were(name, words, tmp_path):
    config = load_config(name, words)
    (tmp_path / "again.yaml").write_text(dump(config))
    assert load_config(str(tmp_path / "again.yaml")) == config


def test_a_config_is_found_by_path_by_name_and_without_ending(write):
    by_name = load_config("ernie.yaml")
    assert isinstance(by_name, Config)
    assert load_config("ernie") == by_name
    assert load_config(str(Path(CONFIG_FOLDER, "ernie.yaml"))) == by_name


def test_a_config_that_is_nowhere_is_answered_with_those_there_are():
    with pytest.raises(PolymeraseError, match=r"'erny\.yaml' not found .*ernie\.yaml"):
        load_config("erny.yaml")
