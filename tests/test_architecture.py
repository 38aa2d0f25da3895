"""Imports run in one direction, nothing outside its place executes foreign code, and help text starts no framework."""

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from data_prep.stages import STAGES
from pretrain.models.architecture import ARCHITECTURES
from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("data_prep", "pretrain", "launch")

# Rooms of `pretrain`, lowest first. A room may import itself and rooms below it; rooms on one line are level.
LEVELS = [
    ["errors"],
    ["rng", "distributed", "plugins"],
    ["tokenizers"],
    ["masking"],
    ["models"],
    ["families"],
    ["config"],  # a run's YAML: its sections are made of what masking, models and families bring
    ["data", "runs"],
    ["importing"],
    ["exporting", "objectives"],
    ["batches"],
    ["baselines"],
    ["training"],
    ["evaluation", "planning", "reporting", "doctor"],
    ["benchmarking"],
    ["cli"],
    ["__main__"],
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

# The same of `data_prep`.
DATA_LEVELS = [
    ["errors", "html_page"],
    ["runtime"],
    ["corpus"],
    ["nucleotides"],
    ["formats"],
    ["records"],
    ["filters"],
    ["bpe", "fetch", "folding", "genomes", "inspection", "motifs", "rnacentral", "sample"],
    ["utr", "variants"],
    ["stages"],
    ["__main__"],
    ["benchmarks"],
]
DATA_LEVEL_OF = {room: level for level, rooms in enumerate(DATA_LEVELS) for room in rooms}


def modules() -> list[tuple[str, Path]]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path) for path in files]


def imports(path: Path) -> set[str]:
    """Full names of everything a module imports, at the top or inside functions; relative ones begin with a dot."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = modules()
IMPORTS = {module: imports(path) for module, path in MODULES}
# travels in exported folders and imports its neighbors and transformers only
REMOTE = {module for module in IMPORTS if ".remote_code." in module}


def importers(prefix: str) -> set[tuple[str, str]]:
    return {
        (module, name) for module, names in IMPORTS.items() for name in names if f"{name}.".startswith(f"{prefix}.")
    }


def test_the_walk_sees_the_project():
    assert len(MODULES) > 100
    assert ("pretrain.training.engine", "deepspeed") in importers("deepspeed")
    assert any(module == "pretrain.data.sources" for module, _ in importers("data_prep.corpus"))


@pytest.mark.parametrize("package", ["torch", "deepspeed", "pretrain", "transformers", "launch"])
def test_data_preparation_stands_without(package):
    assert not [found for found in importers(package) if found[0].startswith("data_prep")]


SHARED_WITH_PRETRAIN = ("data_prep.corpus", "data_prep.errors", "data_prep.nucleotides", "data_prep.formats",
                        "data_prep.benchmarks.rows", "data_prep.html_page")  # fmt: skip


def test_pretraining_knows_of_data_preparation_its_formats_and_letters_alone():
    """Commands stand on both packages."""
    reached = {found for found in importers("data_prep") if found[0].startswith("pretrain")}
    inner = {found for found in reached if not found[0].startswith("pretrain.cli.")}
    assert not [found for found in inner if not found[1].startswith(SHARED_WITH_PRETRAIN)]


def test_nothing_imports_launch():
    assert not importers("launch")


def test_rooms_of_pretrain_import_downwards():
    wrong = set()
    for module, names in IMPORTS.items():
        if not module.startswith("pretrain.") or module in REMOTE:
            continue
        room = "__main__" if module.endswith(".__main__") else module.split(".")[1]  # `python -m` starts it
        for name in names:
            if name.startswith("pretrain."):
                below = name.split(".")[1]
                if below != room and LEVEL_OF.get(below, 99) > LEVEL_OF.get(room, 0):
                    wrong.add((module, name))
    assert not wrong


def test_nothing_imports_what_python_m_starts():
    assert not {(module, name) for module, names in IMPORTS.items() for name in names if "__main__" in name.split(".")}


def test_rooms_of_data_preparation_import_downwards():
    """A room imports itself and rooms below it, not its neighbors on one line."""
    found = {
        (module, name)
        for module, names in IMPORTS.items()
        for name in names
        if module.startswith("data_prep.") and name.startswith("data_prep.")
    }
    assert len(found) > 100
    upward = {
        (module, name)
        for module, name in found
        if (room := module.split(".")[1]) != (below := name.split(".")[1])
        and DATA_LEVEL_OF[below] >= DATA_LEVEL_OF[room]
    }
    assert not upward


# they measure one architecture against a hand-written one, or its operator alone
MEASURE_ONE_ARCHITECTURE = {
    "pretrain.benchmarking.minimal",
    "pretrain.benchmarking.operators",
    "pretrain.benchmarking.gpu.beside_attention",
    "pretrain.benchmarking.gpu.kernels",
    "pretrain.benchmarking.gpu.models",
    "pretrain.benchmarking.gpu.peers",
}


def of_one_architecture() -> set[str]:
    """Classes of settings, and their fields of several words: sizes and switches that only some architectures have."""
    shared = {"vocab_size", "hidden_size", "pad_token_id", "mask_token_id", "max_position_embeddings", "base_token_ids",
              "initializer_range"}  # fmt: skip
    kinds = [kind for entry in ARCHITECTURES.values() for kind in (entry.settings, entry.options)]
    return {kind.__name__ for kind in kinds} | {
        field.name for kind in kinds for field in fields(kind) if "_" in field.name and field.name not in shared
    }


def words(path: Path) -> set[str]:
    """Names, attributes and whole strings of a module."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return (
        {node.id for node in nodes if isinstance(node, ast.Name)}
        | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        | {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    )


def test_no_architecture_is_named_outside_models_families_and_planning():
    """A new architecture is a folder and a line: nobody else knows the class of its settings, its sizes, its files."""
    rooms = ("pretrain.models", "pretrain.families", "pretrain.planning")
    private, folders = of_one_architecture(), tuple(f"pretrain.models.{name}." for name in ARCHITECTURES)
    assert {"num_hidden_layers", "TransformerSettings", "pairing_bias"} <= private
    found = {
        (module, word)
        for module, path in MODULES
        if not module.startswith((*rooms, "data_prep", "launch")) and module not in REMOTE | MEASURE_ONE_ARCHITECTURE
        for word in (words(path) & private) | {name for name in IMPORTS[module] if name.startswith(folders)}
    }
    assert not found


def test_a_reader_of_bert_meets_recurrent_attention_as_one_value():
    """Encoder, layer and attention know that there is such a bias, and nothing of what it is made of."""
    folder = ROOT / "pretrain" / "models" / "transformer"
    for name, known in {"encoder": set(), "layer": set(), "attention": {"Recurrent", "recurrent_attention"}}.items():
        taken = {found.rsplit(".", 1)[1] for found in imports(folder / f"{name}.py") if ".recurrent." in found}
        assert taken == known
        assert not re.search("pair_?class|pairing|ernie", (folder / f"{name}.py").read_text(), re.I)


def test_the_root_of_pretrain_holds_five_files_at_most():
    assert len([path for path in (ROOT / "pretrain").iterdir() if path.is_file()]) <= 5


def test_every_room_has_its_level():
    rooms = {module.split(".")[1] for module in IMPORTS if module.startswith("pretrain.")} - {"__main__"}
    assert rooms <= set(LEVEL_OF)


def test_remote_code_needs_torch_transformers_and_what_these_need_only():
    reached = {name.split(".")[0] for module in REMOTE for name in IMPORTS[module]}
    assert REMOTE
    assert reached <= {"", "torch", "transformers", "numpy", *sys.stdlib_module_names}


def test_imports_name_their_module_in_full():
    assert {module for module, names in IMPORTS.items() if any(name.startswith(".") for name in names)} <= REMOTE


def calls(path: Path) -> set[str]:
    """Names of called functions (``pickle.load``, ``eval``), and keywords with a constant (``key=True``)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
            found |= {f"{k.arg}={k.value.value}" for k in node.keywords if isinstance(k.value, ast.Constant)}
    return found


def test_nothing_executes_what_it_reads():
    executing = {"eval", "exec", "pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "yaml.unsafe_load",
                 "weights_only=False", "allow_pickle=True", "shell=True", "os.system"}  # fmt: skip
    found = {(module, call) for module, path in MODULES for call in calls(path) & executing}
    assert not found


def test_remote_code_is_trusted_only_where_our_own_export_is_checked():
    trusting = {module for module, path in MODULES if "trust_remote_code=True" in calls(path)}
    assert trusting <= {"pretrain.exporting.fresh_process", "pretrain.exporting.verify"}


def heavy_imports(*command: str) -> tuple[int, str, set[str]]:
    """Exit status, output and the frameworks that a command imports."""
    trace = subprocess.run(
        [sys.executable, "-X", "importtime", *command], cwd=ROOT, capture_output=True, text=True, timeout=HANG_S
    )
    loaded = {line.rpartition("|")[2].strip() for line in trace.stderr.splitlines() if line.startswith("import time:")}
    heavy = {"torch", "deepspeed", "transformers", "datasets", "mlflow", "RNA", "matplotlib", "pandas", "scipy"}
    return trace.returncode, trace.stdout, loaded & heavy


SCRIPTS = sorted(path.name for path in (ROOT / "launch").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_of_a_launch_script_has_an_example_and_starts_no_framework(script):
    status, text, heavy = heavy_imports(str(ROOT / "launch" / script), "--help")
    assert (status, heavy) == (0, set())
    assert "example" in text


@pytest.mark.parametrize("stage", ["", *STAGES])
def test_help_of_data_preparation_has_an_example_and_starts_no_framework(stage):
    status, text, heavy = heavy_imports("-m", "data_prep", *([stage] if stage else []), "--help")
    assert (status, heavy) == (0, set())
    assert "example" in text


@pytest.mark.parametrize("module", ["pretrain", "pretrain.families"])
def test_help_of_a_module_has_an_example_and_starts_no_framework(module):
    status, text, heavy = heavy_imports("-m", module, "--help")
    assert (status, heavy) == (0, set())
    assert "example" in text


def test_importing_the_packages_starts_no_framework():
    assert heavy_imports("-c", "import pretrain, data_prep, pretrain.config, pretrain.errors")[::2] == (0, set())
