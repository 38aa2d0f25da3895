"""A model is evaluated on whatever its tokenizer reads, not on the kind of corpus alone that its recipe trains on."""

import pytest

from data_prep.corpus import open_corpus
from pretrain.config import load_config
from pretrain.config.model_choice import family_of
from pretrain.data.effects import check_effects
from pretrain.errors import PolymeraseError
from pretrain.evaluation.held_out import for_corpus
from pretrain.families import FAMILIES


@pytest.mark.usefixtures("files_of_recipes")
@pytest.mark.parametrize("kind", ["plain", "genome", "alleles"])
@pytest.mark.parametrize("name", FAMILIES)
def test_no_key_of_a_recipe_stands_in_the_way_of_another_corpus(corpora, name, kind):
    config = for_corpus(load_config(f"{FAMILIES[name].recipe}.yaml"), str(corpora[kind]), [])
    check_effects(config.corpus, [open_corpus(corpora[kind])], family_of(config.model).build_tokenizer())


def test_a_key_that_the_caller_gives_is_still_not_without_effect(corpora):
    said = ["corpus.window=60"]
    config = for_corpus(load_config("dnabert_3mer.yaml", said), str(corpora["plain"]), said)
    assert config.corpus.window == 60
    assert config.corpus.sampling.draw == "uniform"  # of the recipe, and left out
    with pytest.raises(PolymeraseError, match=r"corpus\.window has no effect"):
        check_effects(config.corpus, [open_corpus(corpora["plain"])], family_of(config.model).build_tokenizer())
