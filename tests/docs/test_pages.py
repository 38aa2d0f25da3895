"""The guide pages run as a new user would type them, and what they promise comes true."""

import gzip
import random
import re

import pytest

from tests.docs.reader import ROOT, Reader, blocks

PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
RUN_HERE = {
    "quickstart.md",
    "continue.md",
    "evaluate.md",
    "config.md",
    "models.md",
    "extend.md",
    "cluster.md",
    "bench.md",
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Somebody in a folder with the project's scripts, who has done the quick start."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("launch", "configs"):
        (folder / name).symlink_to(ROOT / name)
    found = Reader(folder)
    found.follow("quickstart.md")
    return found


def loss(command: str, reader: Reader) -> float:
    """The loss at hidden positions that a command of the page has printed."""
    return float(re.search(r"^mlm, hidden +[\d,]+ +([\d.]+)", reader.outputs[command], flags=re.M)[1])


def test_the_quick_start_ends_with_a_model_that_transformers_loads(reader):
    assert (reader.folder / "runs/demo-ernie/report.html").is_file()
    assert "(2, 14, 32)" in reader.outputs["python"]
    assert "[y/N]" not in reader.outputs["python"]  # transformers asks nothing
    assert "everything that is needed works" in reader.outputs["python -m pretrain doctor"]


def test_a_config_of_ones_own_is_planned(reader):
    reader.follow("config.md")
    plan = reader.outputs["python launch/pretrain.py --config my_run.yaml --dry-run"]
    assert "strategy: mixture" in plan
    assert "first batch         input_ids" in plan
    quirks = reader.outputs["python launch/pretrain.py --config demo/ernie.yaml quirks=upstream --dry-run"]
    assert "specials_selectable: true" in quirks
    own = reader.outputs["python launch/pretrain.py --config my_model.yaml --dry-run"]
    assert "family              custom" in own
    assert "targets: causal_lm" in own


@pytest.mark.parametrize("setting", ["optimizer.momentum=0.5", "model.swiglu_beta=learned", "model.mlpp=swiglu"])
def test_the_page_on_configs_quotes_what_is_said_of_wrong_keys(setting, capsys):
    """The lines of its block, but for the folder of the config."""
    from pretrain.cli.pretrain import main

    assert main(["--config", "demo/ernie.yaml", setting, "--dry-run"]) == 2
    said = re.sub(r"/\S*/", "", capsys.readouterr().err.strip())
    assert said in (ROOT / "docs/config.md").read_text().splitlines()


def test_a_large_run_is_planned(reader):
    reader.follow("cluster.md")
    (plan,) = [text for line, text in reader.outputs.items() if "--ranks 512" in line]
    assert "memory per rank" in plan
    assert "at ZeRO stage 2" in plan


def test_no_page_installs_a_package_of_a_stranger():
    """``polymerase`` on the package index is somebody else's, and nothing of ours is there yet."""
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))]
    assert not [text for text in texts if re.search(r"pip install ['\"]?polymerase(?!-lm\[?[\w,]*\]? @ git)", text)]


def test_continuing_on_real_rna_lowers_the_held_out_loss(reader, shared):
    records = (shared / "data/ncrna/nRC_test.fa").read_text().split("\n>")
    random.Random(0).shuffle(records)
    with gzip.open(reader.folder / "my.fa.gz", "wt") as file:
        file.write("".join(f">{record.lstrip('>').strip()}\n" for record in records[:500]))
    reader.follow("continue.md")
    before, after = (
        loss(f"python launch/evaluate.py {folder} --corpus corpora/mine", reader)
        for folder in ("exports/demo-ernie", "runs/mine")
    )
    assert after < before - 0.02, (before, after)
    assert (reader.folder / "exports/mine/model.safetensors").is_file()
    (line,) = [line for line in reader.outputs if "find_lr.py" in line]
    assert "suggested: optimizer.lr=" in reader.outputs[line]


def test_every_kind_of_evaluation_runs(reader):
    draw = random.Random(1)
    rows = ["".join(draw.choices("ACGU", k=40)) for _ in range(24)]
    names = [f">r{number} {'even' if number % 2 else 'odd'}" for number in range(24)]
    text = "".join(f"{name}\n{row}\n" for name, row in zip(names, rows, strict=True))
    (reader.folder / "few.fa").write_text("".join(text.splitlines(keepends=True)[:6]))
    (reader.folder / "labeled.fa").write_text(text)
    genome = "".join(draw.choices("ACGT", k=200))
    (reader.folder / "genome.fa").write_text(f">chr1\n{genome}\n")
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for place in range(10, 200, 20):
        lines.append(
            f"1\t{place + 1}\t.\t{genome[place]}\t{'ACGT'['CGTA'.index(genome[place])]}\t.\tPASS\tAF=0.{place:03d}"
        )
    (reader.folder / "variants.vcf").write_text("\n".join(lines) + "\n")
    (reader.folder / "known.dbn").write_text(">hairpin\nGGGGAAAACCCC\n((((....))))\n")
    reader.follow("evaluate.md")
    assert (reader.folder / "long.npz").is_file()
    assert {path.suffix for path in (reader.folder / "mutated").iterdir()} == {".html", ".tsv", ".png", ".svg"}
    assert len((reader.folder / "scores.tsv").read_text().splitlines()) == 11
    compared = reader.outputs["python launch/compare.py runs/demo-ernie exports/demo-ernie --corpus corpora/demo"]
    assert "reproduced: same tokens and sizes" in compared


def test_a_bench_of_ones_own_tables_and_suite_runs(reader):
    draw = random.Random(2)
    rows = {}
    for name, count in (("train", 40), ("dev", 12), ("test", 20), ("load", 60), ("load_test", 20)):
        kinds = [number % 2 for number in range(count)]
        rows[name] = [("".join(draw.choices(("GGCCAU", "AAUUGC")[kind], k=30)), kind) for kind in kinds]
    tables = {f"{name}.csv": [f"{one},{'ab'[kind]}" for one, kind in rows[name]] for name in ("train", "dev", "test")}
    tables |= {f"{name}.tsv": [f"{one}\t{kind}.{place}" for place, (one, kind) in enumerate(rows[name])]
               for name in ("load", "load_test")}  # fmt: skip
    for name, lines in tables.items():
        header = "sequence,label" if name.endswith("csv") else "utr\tload"
        (reader.folder / name).write_text("\n".join([header, *lines]) + "\n")
    (reader.folder / "train.csv.gz").write_bytes(gzip.compress((reader.folder / "train.csv").read_bytes()))
    reader.follow("bench.md")
    own, tuned, two, suite = (output for line, output in reader.outputs.items() if "launch/bench.py" in line)
    assert "mine: 2 classes; 40 training, 12 dev, 20 test rows" in own
    assert "model, fine-tuned" in tuned
    assert (reader.folder / "tuned/mine/model.safetensors").is_file()
    assert '"models"' in two
    assert "drawn here: dev and test rows, seed 0, by relatives" in suite


def test_the_table_of_models_lists_every_family_and_config():
    text = (ROOT / "docs/models.md").read_text()
    from pretrain.families import FAMILIES

    table = text.partition("| family | config | exact |")[2].partition("\n\n")[0]
    missing = [name for name in FAMILIES if f"`{re.sub('_[3-6]mer$', '_3mer', name)}`" not in table]
    assert not missing
    assert [block.text.strip() for block in blocks(text) if block.language == "bash"] == [
        "python -m pretrain.families --check",  # run by tests/families
        "python launch/reproduce.py ernie_rna\npython launch/reproduce.py ernie_rna --ranks 8",  # by tests/planning
    ]


def test_every_page_with_commands_is_run_or_marked():
    unknown = [
        page
        for page in PAGES
        if page not in RUN_HERE and any(b.language == "bash" for b in blocks((ROOT / "docs" / page).read_text()))
    ]
    assert not set(unknown) - {"corpora.md", "plugins.md"}  # which have tests of their own


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_and_paths_in_them_exist(page):
    text = (ROOT / "docs" / page).read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / "docs" / target).exists(), target
    for path in re.findall(r"`((?:pretrain|data_prep|launch|configs|tests)/[\w./]+)`", text):
        assert "NAME" in path or (ROOT / path).exists(), path
