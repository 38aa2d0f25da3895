"""The card of every family states the license of its weights and the paper to cite, or that nobody stated one."""

import pytest
import yaml

from pretrain.exporting import CardFacts
from pretrain.exporting.card import model_card
from pretrain.exporting.tensors import export_tensors
from pretrain.exporting.verify import Verification
from pretrain.families import FAMILIES
from pretrain.families.published import published_model
from tests.families.tiny import tiny

# whose releases state no license for the weights
UNSTATED = {name for name in FAMILIES if name.startswith(("rnaernie2", "utr_lm", "dnabert_", "methylbert"))}
WITHOUT_PAPER = {"rnaernie2"}


@pytest.mark.parametrize("name", FAMILIES)
def test_license_and_paper_of_every_family(name: str) -> None:
    family = FAMILIES[name]
    settings = tiny(family)
    tensors = export_tensors(family, settings, published_model(settings).state_dict(), "mlm")
    remote = (False, family.hugging_face.kind == "remote")
    facts = CardFacts("Random weights.", license=family.license)
    card = model_card("m", family, settings, "mlm", tensors, remote, facts, Verification(0.0, 1.0, 1.0), None)
    matter = yaml.safe_load(card.split("---")[1])
    assert (matter["license"] == "unknown") == (name in UNSTATED)
    assert name in matter["tags"]
    assert (family.paper is None) == (name in WITHOUT_PAPER)
    if family.paper is not None:
        assert f"{{{family.paper.key}," in card.partition("```bibtex")[2]
