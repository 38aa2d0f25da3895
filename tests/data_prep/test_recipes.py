"""Recipes: every command of every file parses and names known files; the runner runs them in order."""

import hashlib
import re
import shlex
import socket
from urllib.parse import urlsplit

import pytest
import yaml

from data_prep.corpus import open_corpus
from data_prep.fetch.recipes import load_recipe
from data_prep.fetch.table import FILES, GROUPS, MOTIF_MD5
from data_prep.stages.command import main, parse_command

NAMES = (
    "dnabert", "dnabert2", "ernie_rna", "gpn", "hyenadna", "methylbert", "mutbert", "nt", "rinalmo", "rnaernie",
    "rnaernie2", "utr_lm", "utrbert",
)  # fmt: skip
OF_YOUR_FILES = ("evo1", "gpn_promoter", "helm")  # no step fetches what they read


@pytest.fixture(params=NAMES)
def recipe(request, root):
    return load_recipe(root / "configs" / "corpora" / f"{request.param}.yaml")


def commented_steps(path):
    """Alternatives that a recipe offers as comments."""
    lines = path.read_text().splitlines()
    return [line.strip().removeprefix("# - ") for line in lines if line.strip().startswith("# - ")]


def test_every_published_corpus_has_a_recipe(root):
    assert sorted(path.stem for path in (root / "configs" / "corpora").glob("*.yaml")) == sorted(NAMES + OF_YOUR_FILES)


@pytest.mark.parametrize("name", OF_YOUR_FILES)
def test_a_recipe_of_your_files_parses_and_names_those_that_its_steps_read(root, name):
    recipe = load_recipe(root / "configs" / "corpora" / f"{name}.yaml")
    outs = [str(parse_command(shlex.split(step.run))[1].out) for step in recipe["steps"]]
    assert recipe["corpus"] in outs
    read = {word for step in recipe["steps"] for word in shlex.split(step.run) if word.startswith("raw/")}
    assert read == set(recipe["yours"])


def test_every_command_parses_and_the_last_corpus_is_the_one_it_names(recipe):
    outs = [str(parse_command(shlex.split(step.run))[1].out) for step in recipe["steps"]]
    assert recipe["corpus"] in outs
    for count in recipe["counts"]:
        assert count.keys() == {"what", "published", "expected"}


def test_commands_offered_in_comments_parse_too(root):
    steps = [step for name in NAMES for step in commented_steps(root / "configs" / "corpora" / f"{name}.yaml")]
    assert len(steps) == 4  # alternatives of RNAErnie (1), UTR-LM (1) and 3UTRBERT (2)
    for step in steps:
        parse_command(shlex.split(step))


def test_every_file_a_step_reads_is_made_by_a_step_before_it(recipe):
    made = set()
    for step in (step.run for step in recipe["steps"]):
        stage, options = parse_command(shlex.split(step))
        if stage.__name__.endswith("fetch"):
            for name in [member for given in options.names for member in GROUPS.get(given, [given])]:
                file = FILES[name].at(options.release or FILES[name].release)
                made.add(f"{options.out}/{urlsplit(file.url).path.rpartition('/')[2]}")
            continue
        for word in shlex.split(step):
            if word.startswith("raw/") and "*" not in word:
                assert word in made, f"{word} is fetched by no step"
            if "*" in word:
                start, end = word.split("*")
                assert sum(name.startswith(start) and name.endswith(end) for name in made) == 23
        made.add(str(options.out))


def test_every_step_of_a_recipe_says_disk_time_and_count(recipe, capsys, root):
    for step in recipe["steps"]:
        assert step.expected.startswith("expected: "), step.run
        assert step.count
    path = root / "configs" / "corpora" / f"{recipe['corpus'].rpartition('/')[2]}.yaml"
    assert main(["build", str(path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("  expected: ") == len(recipe["steps"])
    assert "in all (not measured: " in shown


PER_MB = {"evo1": (0.85, 0.05), "gpn_promoter": (0.7, 0.1), "helm": (3.6, 0.2)}  # MB of disk, seconds


@pytest.mark.parametrize("name", OF_YOUR_FILES)
def test_a_step_over_your_files_says_disk_time_and_count_by_their_size(name, capsys, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = root / "configs" / "corpora" / f"{name}.yaml"
    disk_mb, seconds = PER_MB[name]
    per_mb = f"about {disk_mb:g} MB of disk, {seconds:g} s for each MB of your files, "
    (step,) = load_recipe(path)["steps"]
    assert step.expected == f"expected: {per_mb}{step.count}"
    assert step.count
    assert main(["build", str(path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"  expected: {per_mb}" in shown
    in_all = f"about {disk_mb:g} MB of disk and {seconds:g} s for each MB of your files in all (by the size of your "
    assert f"{name}.yaml needs {in_all}" in shown
    for file in load_recipe(path)["yours"]:  # 1.5 GB each, without a byte on the disk
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        with open(tmp_path / file.replace("*", "a"), "wb") as sparse:
            sparse.truncate(1_500_000_000)
    files = len(load_recipe(path)["yours"])
    assert main(["build", str(path), "--dry-run"]) == 0
    gb, minutes = files * 1.5 * disk_mb, files * 1500 * seconds / 60
    assert f"  expected: about {gb:.3g} GB of disk, about {minutes:.0f} min, {step.count}\n" in capsys.readouterr().out


def test_recipe_config_and_documents_name_one_folder(recipe, root):
    configs = {path.name: yaml.safe_load(path.read_text()) for path in (root / "configs").glob("*.yaml")}
    if recipe["config"] in configs:
        assert configs[recipe["config"]]["corpus"]["path"] == recipe["corpus"]
    used = {values["corpus"]["path"] for values in configs.values() if "path" in values.get("corpus", {})}
    recipes = [load_recipe(path) for path in (root / "configs" / "corpora").glob("*.yaml")]
    built = {found["corpus"] for found in recipes}
    # a corpus may come before the family that is trained on it
    assert {found["corpus"] for found in recipes if found["config"] in configs} <= used <= built
    texts = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "pretrain").rglob("*.py")]
    named = {
        name for text in texts for name in re.findall(r"(?:corpus\.path=|--corpus )(corpora/[\w-]+)", text.read_text())
    }
    proof = (root / "launch" / "proof.sh").read_text()
    proven = {f"corpora/{name}" for name in re.findall(r'--out "\$corpora/([\w-]+)"', proof)}
    # demo, mine and other are of the reader; the rest are corpora of recipes and of the proof
    assert named - built - proven <= {"corpora/demo", "corpora/mine", "corpora/other", "corpora/rnas", "corpora/lines"}


def test_everything_the_config_of_rnaernie_reads_is_made_by_its_recipe(root):
    config = yaml.safe_load((root / "configs" / "rnaernie.yaml").read_text())
    recipe = load_recipe(root / "configs" / "corpora" / "rnaernie.yaml")
    made = {str(parse_command(shlex.split(step.run))[1].out) for step in recipe["steps"]}
    lists = [
        file for part in config["masking"]["parts"] for base in part.get("databases", []) for file in base["files"]
    ]
    assert len(lists) == 2
    assert {*lists, config["corpus"]["path"]} <= made


def test_the_published_motif_lists_become_those_of_the_recipe(shared, tmp_path, monkeypatch, capsys):
    """With the files of the authors at hand: as many motifs as the recipe says, under the checksums it fetches."""
    for name, md5 in MOTIF_MD5.items():
        content = (shared / "data" / "motifs" / f"{name}.txt").read_bytes()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == md5
        (tmp_path / f"{name}.txt").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert main(["motifs", "ATtRACT.txt", "SpliceAid.txt", "--out", "databases.txt"]) == 0
    assert main(["motifs", "Statistics.txt", "--out", "statistics.txt"]) == 0
    shown = capsys.readouterr().out
    assert "4,041 motifs" in shown
    assert "10,000 motifs" in shown


def test_without_a_network_a_recipe_ends_at_once_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.getaddrinfo", no_names)
    recipe = write(
        tmp_path / "r.yaml", "fetch rnacentral --out raw", "rnacentral raw/rnacentral_active.fasta.gz --out c"
    )
    assert main(["build", recipe]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "ftp.ebi.ac.uk cannot be reached (Name or service not known); give --mirror, or bring https://" in line
    assert not (tmp_path / "raw").exists()


def no_names(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def write(path, *steps, corpus="c"):
    path.write_text(f"corpus: {corpus}\nconfig: none.yaml\nsteps:\n" + "".join(f"  - {step}\n" for step in steps))
    return str(path)


def test_the_runner_runs_the_steps_in_order_and_expands_patterns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a1.fa", "a2.fa"):
        (tmp_path / name).write_text(f">{name}\n{'ACGU' * 5}{name[1]}\n".replace("1\n", "G\n").replace("2\n", "C\n"))
    recipe = write(
        tmp_path / "r.yaml", "fasta a*.fa --out c --validation 0", "motifs --mine c --lengths 4 --max-fdr 1 --out m.txt"
    )
    assert main(["build", recipe, "--dry-run"]) == 0
    assert not (tmp_path / "c").exists()
    assert main(["build", recipe]) == 0
    assert len(open_corpus(tmp_path / "c").split("train")) == 2
    assert "step 2 of 2" in capsys.readouterr().out
    assert main(["build", recipe]) == 0  # finished steps are skipped


def test_a_failing_step_ends_the_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = write(tmp_path / "r.yaml", "fasta absent.fa --out c", "motifs --mine c --out m.txt")
    assert main(["build", recipe]) == 2
    captured = capsys.readouterr()
    assert "absent.fa" in captured.err
    assert "step 2" not in captured.out


BROKEN = {
    "r.yaml: cannot be read": None,
    "r.yaml: not YAML": "steps: [",
    "r.yaml: a recipe has the keys": "steps: []\n",
    "r.yaml: yours is a mapping": "corpus: c\nconfig: n\nsteps: [fasta x --out c]\nyours: {1: x}\n",
    "r.yaml: steps is a list of commands": "corpus: c\nconfig: n\nsteps: fasta\n",
    "r.yaml step 1: a step is a command, or has the keys run, disk_gb, minutes, count, ": (
        "corpus: c\nconfig: n\nsteps: [{run: fasta x --out c, disk: 1}]\n"
    ),
    "r.yaml step 1: disk_gb is a number, got 'much'": (
        "corpus: c\nconfig: n\nsteps: [{run: fasta x --out c, disk_gb: much, minutes: 1}]\n"
    ),
    "r.yaml step 1: seconds_per_mb is a number, got None": (
        "corpus: c\nconfig: n\nsteps: [{run: fasta x --out c, disk_mb_per_mb: 1}]\n"
    ),
    "r.yaml step 1: unknown stage 'fsta'; did you mean 'fasta'?": "corpus: c\nconfig: n\nsteps: [fsta x]\n",
    "r.yaml step 2: unrecognized arguments: --nonsense": (
        "corpus: c\nconfig: n\nsteps: [fasta x --out c, fasta x --out c --nonsense]\n"
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_recipe_is_one_clear_line_before_anything_runs(tmp_path, monkeypatch, capsys, message):
    monkeypatch.chdir(tmp_path)
    if BROKEN[message] is not None:
        (tmp_path / "r.yaml").write_text(BROKEN[message])
    assert main(["build", "r.yaml"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
