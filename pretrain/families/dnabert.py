"""DNABERT-3/4/5/6 (jerryji1993/DNABERT; recipes/utrbert.md): the same program as 3UTRBERT, over DNA.

Ids of equal sequences are equal (T for U). All rulings of ``utrbert.py`` hold. Besides:

* Steps: the schedule is laid out for 200,000 steps, training stopped at 120,000 (learning rate 1.68e-4 there, not 0).
* Masked share rises from 15 % to 20 % for the last 20,000 steps according to the paper; the code has no such phase.
* The folder's tokenizer_config.json says do_lower_case true, which turns every k-mer into [UNK]; never done here.
"""

from pretrain.families.kmer_bert import kmer_bert
from pretrain.families.paper import Paper

_PAPER = Paper(
    "ji2021dnabert",
    "Ji and Zhou and Liu and Davuluri",
    "DNABERT: pre-trained Bidirectional Encoder Representations from Transformers model for DNA-language in genome",
    "Bioinformatics",
    2021,
    "10.1093/bioinformatics/btab083",
)

DNABERT = tuple(kmer_bert(f"dnabert_{k}mer", k, paper=_PAPER, molecule="dna", recipe_ranks=8) for k in (3, 4, 5, 6))
