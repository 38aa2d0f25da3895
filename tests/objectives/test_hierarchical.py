"""Losses on a tree of tokens, held to the outputs of HELM's own program (tests/golden/helm)."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pretrain.config.sections import Hierarchical
from pretrain.errors import PolymeraseError
from pretrain.objectives import ObjectiveContext, Outputs
from pretrain.objectives.hierarchical import HierarchicalObjective
from pretrain.objectives.token_tree import TokenTree, codon_parents
from pretrain.tokenizers import build_tokenizer

VOCABULARY = build_tokenizer("codon_sorted").vocab


@pytest.fixture(scope="module")
def losses(golden):
    return load_file(golden / "helm" / "losses.safetensors")


@pytest.fixture(scope="module")
def meta(golden):
    return json.loads((golden / "helm" / "losses.json").read_text())


def objective(vocabulary=VOCABULARY, **settings) -> HierarchicalObjective:
    return HierarchicalObjective(Hierarchical(**settings), ObjectiveContext(hidden_size=8, vocabulary=vocabulary))


def loss_of(one: HierarchicalObjective, logits: torch.Tensor, target: torch.Tensor):
    targets = {"index": torch.arange(len(target)), "target": target, "group": torch.zeros_like(target)}
    return one.loss(Outputs(logits, lambda index: logits[index]), None, targets)


def test_the_tree_of_codons_is_the_released_one(golden):
    released = json.loads((golden / "helm" / "tree.json").read_text())
    tree = TokenTree.build(codon_parents(VOCABULARY), VOCABULARY, "codons")
    assert list(VOCABULARY) == released["classes_sorted"]
    assert len(tree.depth) == released["n_nodes"]
    leaf_depth = tree.depth[tree.path[:, 0]]
    depths = released["depth"]
    theirs = [depths[token] for token in VOCABULARY] if isinstance(depths, dict) else depths
    assert leaf_depth.tolist() == theirs


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.4, 0.6, 1.0])
def test_edge_weights_equal_upstream(losses, alpha):
    weights = TokenTree.build(codon_parents(VOCABULARY), VOCABULARY, "codons").edge_weights(alpha)
    np.testing.assert_allclose(weights, losses[f"edge_weights_alpha{alpha}"].numpy(), rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.4, 0.6, 1.0])
def test_hierarchical_cross_entropy_equals_upstream_in_float64_also_where_its_float32_lost_a_term(losses, meta, alpha):
    found = loss_of(objective(alpha=alpha), losses["logits"], losses["targets_sorted_ids"]).losses
    np.testing.assert_allclose(found.numpy(), meta["hxe"][str(alpha)], atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 0.4, 0.6])
def test_gradients_equal_upstream(losses, alpha):
    logits = losses["logits"].clone().requires_grad_()
    loss_of(objective(alpha=alpha), logits, losses["targets_sorted_ids"]).loss.div(len(logits)).backward()
    rows = torch.arange(len(logits)) != 3  # saturated: upstream drops a term there
    torch.testing.assert_close(logits.grad[rows], losses[f"grad_logits_alpha{alpha}"][rows], rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("beta", [5, 15])
def test_soft_labels_equal_the_mended_table_of_upstream(losses, beta):
    one = objective(loss="soft_labels", beta=float(beta))
    torch.testing.assert_close(one._tables["labels"], losses[f"soft.fixed_beta{beta}"].T, rtol=1e-5, atol=1e-9)


def test_the_divergence_and_its_gradient_equal_upstream(losses, meta):
    logits = losses["logits"].clone().requires_grad_()
    one = objective(loss="soft_labels", beta=15.0)
    mean = loss_of(one, logits, losses["targets_sorted_ids"]).loss / len(logits)
    assert mean.item() == pytest.approx(meta["soft_labels"]["15"], rel=1e-5)
    mean.backward()
    torch.testing.assert_close(logits.grad, losses["grad_soft_fixed_batchmean_beta15"], rtol=2e-4, atol=1e-6)


def test_the_order_of_ids_does_not_matter(losses):
    """Upstream's soft labels read a table in another order than its ids; here names decide."""
    plain = build_tokenizer("codon").vocab
    place = torch.tensor([VOCABULARY.index(token) for token in plain])
    target = torch.tensor([plain.index(VOCABULARY[t]) for t in losses["targets_sorted_ids"].tolist()])
    ours = loss_of(objective(plain), losses["logits"][:, place], target).losses
    torch.testing.assert_close(ours, loss_of(objective(), losses["logits"], losses["targets_sorted_ids"]).losses)


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"A": "x", "C": "x", "x": "y", "y": "x"}, "a cycle through"),
        ({"A": "left", "C": "right"}, "expected one root, got 2"),
        ({"A": "root"}, "token 'C' of the vocabulary is not a leaf"),
        ({"A": "root", "C": "root", "G": "root"}, "leaf 'G' is not a token"),
        ({"A": "root", "C": "A"}, "token 'A' has children"),
        (["A", "C"], "expected a JSON object"),
    ],
)
def test_a_tree_that_is_none_is_one_line(tmp_path, parents, message):
    (tmp_path / "tree.json").write_text(json.dumps(parents))
    with pytest.raises(PolymeraseError, match=message) as caught:
        objective(("A", "C"), tree=str(tmp_path / "tree.json"))
    assert "tree.json" in str(caught.value)
    assert "\n" not in str(caught.value)
