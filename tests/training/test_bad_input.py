"""Wrong input on the command line: one line that begins with ``error:``, exit status 2, nothing half-written."""

import shutil

import pytest

from tests.training.corpora import tree, write_yaml
from tests.training.ranks import command_line


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
    from pretrain.assembly import assemble
    from pretrain.config import load_config
    from pretrain.errors import PolymeraseError

    path = write_yaml(tmp_path / "wrong.yaml", tree(tmp_path / "run", corpora["plain"]))
    with pytest.raises(PolymeraseError) as raised:
        assemble(load_config(str(path), words))
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_types_can_only_be_asked_for_where_they_are_laid_out_and_hidden(tmp_path, corpora):
    from pretrain.assembly import assemble
    from pretrain.errors import PolymeraseError
    from tests.training.corpora import config

    asked = {"model__family": "rnaernie", "objectives": {"rna_type": {"mode": "label_token"}}}
    with pytest.raises(PolymeraseError, match=r"needs corpus\.label_slot=true and masking\.label_rate above 0"):
        assemble(config(tmp_path, corpora["labelled"], **asked))
    batch = assemble(
        config(tmp_path, corpora["labelled"], **asked, corpus__label_slot=True, masking__label_rate=0.5)
    ).batches("train").make(0, 40)  # fmt: skip
    assert 0 < batch.counts["rna_type"] < 30


def test_a_run_folder_that_cannot_be_made(tmp_path, corpora):
    (tmp_path / "file").write_text("")
    path = write_yaml(tmp_path / "wrong.yaml", tree(tmp_path / "file" / "run", corpora["plain"]))
    done = command_line("--config", str(path), cwd=tmp_path)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: run.dir:")] != []
