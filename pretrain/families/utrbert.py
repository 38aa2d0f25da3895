"""UTRBERT-3/4/5/6mer (yangyn533/3UTRBERT; recipes/utrbert.md): BERT-base over overlapping k-mers of 3' UTRs.

Where sources disagree, and what we follow:

* Doubled output bias: upstream adds the bias of its output layer twice. Published heads are imported with bias * 2,
  which gives the same logits; what is trained here has one bias.
* Padding: upstream's fine-tuning adds the raw 0/1 mask to the scores (padding keeps a share of e^-1), its pretraining
  passes no mask. There is no padding here at all, so parity with upstream holds for unpadded rows.
* Vocabulary order is A, U, C, G, not alphabetical; the vocabulary of multimolecule's port is another one.
* Masked share: "15 %" is nominal, centers drawn with p = 0.15 / k give 14.1 % (k=6) to 14.3 % (k=3).
* Random replacements are drawn from all ids, special tokens included, and the loss is a mean per micro-batch: quirks.
* Initialization draws the pad row like every other row.
* The repository has no pretraining code; sizes and steps are second-hand (200,000 steps against the "12w" = 120,000 in
  the released folder's name). The pooler in the files was never trained.
* Longest input of the 4-mer model: a card says about 515 nt; 512 ids hold 510 k-mers, so 510 + k - 1 nt (513).
* multimolecule's parameter counts (86.14 / 86.53 / 88.45 / 98.05 M) are those of its own vocabulary.
"""

from pretrain.families.kmer_bert import kmer_bert
from pretrain.families.paper import Paper

_PAPER = Paper(
    "yang2024utrbert",
    "Yang and Li and others",
    "Deciphering 3'UTR mediated gene regulation using interpretable deep representation learning",
    "Advanced Science",
    2024,
    "10.1002/advs.202407013",
)

UTRBERT = tuple(
    kmer_bert(f"utrbert_{k}mer", k, license="cc-by-4.0", recipe_ranks=4, paper=_PAPER) for k in (3, 4, 5, 6)
)
