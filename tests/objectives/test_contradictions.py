"""Objectives that do not fit the masking, the backbone or the corpus are refused in one line that says what to do."""

from dataclasses import replace

import pytest

from pretrain.errors import PolymeraseError
from pretrain.families import find_family
from pretrain.training.components import build_components
from pretrain.training.fit import _misfits
from tests.training.corpora import config

NONE = {"strategy": "none"}


def refused(run_dir, corpus, **changes) -> str:
    with pytest.raises(PolymeraseError) as caught:
        build_components(config(run_dir, corpus, **changes))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_hidden_tokens_cannot_be_asked_for_where_nothing_is_hidden(corpora, tmp_path):
    message = refused(tmp_path, corpora["labeled"], masking=NONE)
    assert message == (
        "objectives.mlm predicts hidden tokens: expected a masking strategy, got masking.strategy=none; set another one"
    )
    message = refused(
        tmp_path, corpora["labeled"], masking=NONE, objectives={"mlm": None, "structure": {"positions": "masked"}}
    )
    assert message.endswith("got masking.strategy=none; set objectives.structure.positions=all")


def test_the_next_token_cannot_be_asked_for_where_tokens_are_hidden(corpora, tmp_path):
    message = refused(tmp_path, corpora["labeled"], objectives={"mlm": None, "causal_lm": {}})
    assert message.startswith("objectives.causal_lm predicts every token: expected masking.strategy=none, got base")


@pytest.mark.parametrize(
    ("objective", "masking", "causal", "problem"),
    [
        ("mlm", {"strategy": "base"}, True, "objectives.mlm needs a bidirectional backbone, got a causal one"),
        ("causal_lm", NONE, False, "objectives.causal_lm needs a causal backbone, got a bidirectional one"),
        ("mlm", {"strategy": "base"}, False, None),
        ("causal_lm", NONE, True, None),
    ],
)
def test_an_objective_and_a_backbone_that_contradict_each_other_are_refused(
    tmp_path, objective, masking, causal, problem
):
    run = config(tmp_path, tmp_path, masking=masking, objectives={"mlm": None, objective: {}})
    settings = replace(find_family("rnaernie").settings, causal=causal)
    found = list(_misfits(run, settings, []))
    assert [line.partition(" (")[0] for line in found] == ([problem] if problem else [])
    if problem:
        assert ("objectives.causal_lm" if causal else "objectives.mlm") in found[0].partition("use ")[2]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("structure", "objectives.structure needs structures; fold the corpus (python -m data_prep fold"),
        ("mfe", "objectives.mfe needs energies; fold the corpus (python -m data_prep fold"),
        ("rna_type", "objectives.rna_type needs a corpus with an rna_type column"),
        ("soft_label", "objectives.soft_label needs an allele-frequency corpus (python -m data_prep"),
    ],
)
def test_an_objective_says_what_the_corpus_lacks(corpora, tmp_path, name, problem):
    assert refused(tmp_path, corpora["plain"], objectives={name: {}}).startswith(problem)


def test_sequences_with_labels_are_trained_on_without_any_masking(corpora, tmp_path):
    parts = build_components(
        config(tmp_path, corpora["labeled"], masking=NONE, objectives={"mlm": None, "structure": {}, "mfe": {}})
    )
    batch = parts.batches("train").make(0, 12)
    assert not (batch.packed.input_ids == parts.tokenizer.mask_id).any()
    assert batch.counts["structure"] > 0


def test_the_next_codon_cannot_be_asked_for_where_tokens_are_hidden(tmp_path):
    run = config(tmp_path, tmp_path, objectives={"mlm": None, "hierarchical": {"predicts": "next"}})
    settings = replace(find_family("rnaernie").settings, causal=True)
    (message,) = _misfits(run, settings, [])
    assert message == (
        "objectives.hierarchical.predicts=next reads every token: expected masking.strategy=none, got base; "
        "set masking='{strategy: none}'"
    )
