"""Tasks with a class for every letter: read, measured, learned, fine-tuned, kept, refused."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef, roc_auc_score

from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.figures import weights_of
from pretrain.evaluation.bench.files import Columns, Split
from pretrain.evaluation.bench.keep import keep
from pretrain.evaluation.bench.letters import letters_of, read_letter_task, run_letters
from pretrain.evaluation.bench.run import Options
from pretrain.evaluation.probing.tuning import Tuning
from tests.evaluation.support import error_line, in_process, tiny


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The letter after GG is a site; one sequence is longer than the model, one has letters without a class."""
    draw, folder = np.random.default_rng(4), tmp_path_factory.mktemp("letters")
    paths = {}
    for split, count in (("train", 60), ("dev", 12), ("test", 30)):
        rows = ["sequence,label"]
        for number in range(count):
            letters = "".join(draw.choice(list("GGACU"), 150 if number == 1 else 30))
            sites = ["S" if letters[at - 2 : at] == "GG" else "." for at in range(len(letters))]
            rows.append(f"{letters},{'???' + ''.join(sites[3:]) if number == 2 else ''.join(sites)}")
        paths[split] = folder / f"{split}.csv"
        paths[split].write_text("\n".join(rows) + "\n")
    return paths


@pytest.fixture(scope="module")
def task(files):
    return read_letter_task("sites", files, Columns(), Split(), None)


def true_letters(files):
    rows = [line.split(",")[1] for line in files["test"].read_text().splitlines()[1:]]
    return [[int(character == "S") for character in row if character != "?"] for row in rows]


def test_metrics_are_those_of_the_letters_and_errors_count_whole_sequences(files, task):
    true = true_letters(files)
    flat = np.concatenate(true)
    scores = np.random.default_rng(0).dirichlet([1, 1], len(flat))
    found = task.task.measured(task.task.true, scores)
    said = scores.argmax(axis=1)
    assert found["macro_f1"][0] == pytest.approx(f1_score(flat, said, average="macro"))
    assert found["mcc"][0] == pytest.approx(matthews_corrcoef(flat, said))
    assert found["auroc"][0] == pytest.approx(roc_auc_score(flat, scores[:, 1]))
    weights = weights_of(len(true))[:3]
    resampled = task.task.measured(task.task.true, scores, weights)
    of_letter = np.repeat(weights, [len(one) for one in true], axis=1)
    for draw in range(3):
        expected = f1_score(flat, said, average="macro", sample_weight=of_letter[draw])
        assert resampled["macro_f1"][draw] == pytest.approx(expected)


def test_neighbors_tell_the_sites_and_the_letter_alone_does_not(task):
    bars = {name: task.task.measured(task.task.true, scores) for name, scores in task.bars().items()}
    assert bars["neighbors"]["macro_f1"][0] > 0.95
    assert bars["letter"]["macro_f1"][0] < 0.6


def test_states_of_long_sequences_stand_for_their_own_letters(files, task):
    """A model whose states are known: those of the embedding tell the letter, as well as the bar does."""
    frozen = letters_of(task, tiny("rnaernie2"), Options(layer=0))
    assert len(frozen) == sum(map(len, true_letters(files)))
    deeper = letters_of(task, tiny("rnaernie2"), Options())
    measured = {"0": task.task.measured(task.task.true, frozen), "2": task.task.measured(task.task.true, deeper)}
    assert measured["2"]["auroc"][0] > measured["0"]["auroc"][0]


@pytest.mark.parametrize("family", ["rnaernie2", "utr_lm", "ernie_rna", "gpn_convnet"])
def test_a_kept_model_is_the_fine_tuned_one_for_transformers(task, tmp_path, family):
    """Native BERT, native ESM and our own code; the export itself compares with stock transformers."""
    model = tiny(family)
    result = run_letters([model], task, Options(seeds=1, tuning=Tuning("", 2, 3e-3, 8)))
    assert {"letter", "neighbors", "random_weights", "random_weights_tuned"} == set(result.json["bars"])
    line = keep(result.tuned[model.source], model, task.task, result.json, tmp_path / "kept")
    assert "verified by transformers" in line
    config = json.loads((tmp_path / "kept/config.json").read_text())
    assert config["architectures"][0].endswith("ForTokenClassification")
    assert config["label2id"] == {".": 0, "S": 1}
    assert "token-classification" in (tmp_path / "kept/README.md").read_text()


def test_the_command_says_what_was_counted(tiny_run, files):
    call = ["bench.py", tiny_run, "--kind", "tokens", "--seeds", "1"]
    call += [word for split, path in files.items() for word in (f"--{split}", path)]
    status, out, err = in_process(*call)
    assert status == 0, err
    assert "test: 2 classes of single letters; 60 training, 12 dev, 30 test rows" in out
    assert "letters with a class: 1,917 in training, 477 in dev, 1,017 in test rows" in out
    assert "--head has no effect with --kind tokens" in error_line(*call, "--tune", "--head", "mean")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("....", r"expected a label of 5 characters, one for each letter, got 4 \('\.\.\.\.'; 1 of"),
        ("....X", "no training row has class 'X', test rows have"),
        ("?????", "no letter of the test rows has a class"),
    ],
)
def test_wrong_labels_are_one_line(tmp_path, label, said):
    def write(name, rows):
        (tmp_path / name).write_text("\n".join(["sequence,label", *rows]) + "\n")
        return tmp_path / name

    good = ["ACGUA,..S.."] * 8
    test = [f"ACGUA,{label}"] * (2 if label == "?????" else 1) + ([] if label == "?????" else good[:2])
    paths = {"train": write("a.csv", good), "dev": write("b.csv", good[:3]), "test": write("c.csv", test)}
    with pytest.raises(PolymeraseError, match=said):
        read_letter_task("mine", paths, Columns(), Split(), None)


def test_models_of_kmers_are_refused(task):
    with pytest.raises(PolymeraseError, match="classes of letters need a model with one token for each"):
        letters_of(task, tiny("dnabert_6mer"), Options())
