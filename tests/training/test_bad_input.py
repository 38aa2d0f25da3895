"""Wrong input on the command line: one line that begins with ``error:``, exit status 2, nothing half-written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.training.corpora import tree, write_yaml
from tests.training.ranks import command_line


def rewrite(shard: Path, change: Callable[[list], list]) -> None:
    """Change the structures of a shard of a corpus, as a script of somebody's might; its size stays that of before."""
    with pa.ipc.open_stream(shard.read_bytes()) as stream:
        batch = stream.read_next_batch()
    at = batch.schema.get_field_index("structure")
    batch = batch.set_column(at, batch.schema.field(at), pa.array(change(batch.column(at).to_pylist()), pa.string()))
    before = shard.stat().st_size
    with pa.ipc.new_stream(shard, batch.schema) as stream:
        stream.write_batch(batch)
    assert shard.stat().st_size == before  # Arrow pads its buffers


@pytest.fixture
def complaint(tmp_path, corpora):
    """The one line that a wrong setting ends in."""

    def line(*words: str, corpus: str | None = None) -> str:
        values = tree(tmp_path / "runs" / "wrong", corpora["plain"])
        if corpus:
            values["corpus"]["path"] = corpus
        path = write_yaml(tmp_path / "wrong.yaml", values)
        before = set(tmp_path.rglob("*"))
        done = command_line("--config", str(path), *words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        (text,) = done.stderr.splitlines()
        assert text.startswith("error: ")
        assert set(tmp_path.rglob("*")) == before
        return text

    return line


def test_an_unknown_key(complaint):
    assert "unknown key 'train.step'; did you mean 'train.steps'?" in complaint("train.step=5")


def test_an_unknown_family(complaint):
    text = complaint("model.family=ernie_dna")
    assert "'ernie_dna'" in text
    assert "'ernie_rna'" in text


def test_a_missing_corpus_names_the_two_commands_that_help(complaint):
    text = complaint(corpus="corpora/mine")
    assert "corpora/mine" in text
    assert "python -m data_prep" in text
    assert "make demo" in text


def test_a_folder_that_is_no_corpus(complaint, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "not a corpus (it has no manifest.json)" in complaint(corpus=str(tmp_path / "folder"))


def test_a_corpus_that_lost_a_shard(complaint, tmp_path, corpora):
    shutil.copytree(corpora["plain"], tmp_path / "lost")
    next((tmp_path / "lost" / "train").glob("*.arrow")).unlink()
    text = complaint(corpus=str(tmp_path / "lost"))
    assert "not whole" in text
    assert ".arrow is missing" in text


def test_a_batch_that_holds_no_sequence(complaint):
    text = complaint("batch.tokens=20")
    assert "batch.tokens=20 holds no sequence of" in text
    assert "raise it, or lower corpus.max_tokens" in text


WITHOUT_PROCESS = [
    (["batch.pair_cells=100"], "batch.pair_cells=100 holds no sequence of"),
    (["corpus.max_tokens=2"], "corpus.max_tokens=2 leaves no room for a nucleotide"),
    (["corpus.max_tokens=100"], "corpus.max_tokens=100 exceeds model.max_position_embeddings=64"),
    (["model.num_attention_heads=5"], "model.hidden_size=32 is not a multiple of model.num_attention_heads=5"),
    (["objectives.structure={}"], "objectives.structure needs structures; fold the corpus"),
    (["objectives.mfe={}"], "objectives.mfe needs energies; fold the corpus"),
    (["objectives.rna_type={}"], "objectives.rna_type needs a corpus with an rna_type column"),
    (["objectives.soft_label={}"], "objectives.soft_label needs an allele-frequency corpus"),
    (["corpus.label_slot=true"], "corpus.label_slot: ernie_rna has no RNA types in its vocabulary"),
    (["masking.label_rate=0.5"], "masking.label_rate needs an RNA type behind each sequence"),
    (["masking.random_ids=vocabulary_from:30"], "ernie_rna has only 25 ids"),
    (["corpus.path=null"], "corpus.path is not set"),
    (["model.init_from=nowhere"], "nowhere"),
    (["corpus.extra=[{path: nowhere}]"], "corpus 'nowhere' does not exist"),
]


@pytest.mark.parametrize(("words", "expected"), WITHOUT_PROCESS)
def test_what_does_not_fit_together_is_said_before_any_process_starts(tmp_path, corpora, words, expected):
    """The same checks without a command line around them."""
    from pretrain.config import load_config
    from pretrain.errors import PolymeraseError
    from pretrain.training.components import build_components

    path = write_yaml(tmp_path / "wrong.yaml", tree(tmp_path / "run", corpora["plain"]))
    with pytest.raises(PolymeraseError) as raised:
        build_components(load_config(str(path), words))
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mixture_of_a_corpus_with_itself_is_refused(tmp_path, corpora):
    """Under another name too: an epoch would hold every sample twice."""
    from pretrain.errors import PolymeraseError
    from pretrain.training.components import build_components
    from tests.training.corpora import config

    shutil.copytree(corpora["plain"], tmp_path / "copy")
    extra = [{"path": str(corpora["other"])}, {"path": str(tmp_path / "copy")}]
    with pytest.raises(PolymeraseError, match=r"corpus.extra.1.path: .*copy holds what another corpus of this run"):
        build_components(config(tmp_path / "run", corpora["plain"], corpus__extra=extra))


def test_patience_without_held_out_samples_is_refused(tmp_path, corpora):
    from data_prep.__main__ import main
    from pretrain.errors import PolymeraseError
    from pretrain.training.components import build_components
    from tests.training.corpora import config

    (tmp_path / "a.fa").write_text("".join(f">s{n}\n{'ACGU' * (3 + n)}\n" for n in range(6)))
    assert main(["fasta", str(tmp_path / "a.fa"), "--out", str(tmp_path / "corpus"), "--validation", "0"]) == 0
    asked = {"train__eval_every": 2, "train__patience": 1}
    with pytest.raises(PolymeraseError, match=r"train\.patience=1 has no effect: no corpus holds samples out"):
        build_components(config(tmp_path / "run", tmp_path / "corpus", **asked))
    build_components(config(tmp_path / "run", corpora["plain"], **asked))


def test_types_can_only_be_asked_for_where_they_are_laid_out_and_hidden(tmp_path, corpora):
    from pretrain.errors import PolymeraseError
    from pretrain.training.components import build_components
    from tests.training.corpora import config

    asked = {"model__family": "rnaernie", "objectives": {"rna_type": {"mode": "label_token"}}}
    with pytest.raises(PolymeraseError, match=r"needs corpus\.label_slot=true and masking\.label_rate above 0"):
        build_components(config(tmp_path, corpora["labeled"], **asked))
    batch = build_components(
        config(tmp_path, corpora["labeled"], **asked, corpus__label_slot=True, masking__label_rate=0.5)
    ).batches("train").make(0, 40)  # fmt: skip
    assert 0 < batch.counts["rna_type"] < 30


def test_a_run_folder_that_cannot_be_made(tmp_path, corpora):
    (tmp_path / "file").write_text("")
    path = write_yaml(tmp_path / "wrong.yaml", tree(tmp_path / "file" / "run", corpora["plain"]))
    done = command_line("--config", str(path), cwd=tmp_path)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: run.dir:")] != []


def test_structures_of_another_length_than_their_sequences(complaint, tmp_path, corpora):
    shutil.copytree(corpora["labeled"], tmp_path / "cut")
    shard = tmp_path / "cut" / "train" / "shard-00000.arrow"
    rewrite(shard, lambda structures: [text and text[:-1] if row == 7 else text for row, text in enumerate(structures)])
    text = complaint("objectives.structure={}", corpus=str(tmp_path / "cut"))
    assert "shard-00000.arrow: row 'train-7' has a structure of" in text
    assert "fold the corpus again" in text


@pytest.mark.parametrize("row", [[0.5, 0.6, 0.0, 0.0], [float("nan"), 1.0, 0.0, 0.0], [1.5, -0.5, 0.0, 0.0]])
def test_frequencies_that_are_none(tmp_path, corpora, row):
    from pretrain.errors import PolymeraseError
    from pretrain.training.components import build_components
    from tests.training.corpora import config

    shutil.copytree(corpora["alleles"], tmp_path / "wrong")
    file = next((tmp_path / "wrong" / "contigs").rglob("frequencies.npy"))
    frequencies = np.load(file)
    frequencies[2] = row
    np.save(file, frequencies)
    values = {"model__family": "mutbert", "masking": {"strategy": "variant_first"}, "objectives": {"soft_label": {}}}
    with pytest.raises(PolymeraseError, match=r"frequencies.npy: row 2 is .* must be 0 or more and sum to 1"):
        build_components(config(tmp_path, tmp_path / "wrong", **values)).sources("train")
