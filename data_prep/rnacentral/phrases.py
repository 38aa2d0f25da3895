"""How descriptions name the type of an RNA: RNAcentral's own, and those of its sources (HGNC, RefSeq, miRBase, Rfam).

The first entry that fits decides, so what is more special stands first: the host gene of a microRNA is no microRNA, a
transfer-messenger RNA no messenger, a precursor no mature one.
"""

import re

LONG, SPLICED = "lncRNA", "autocatalyticallysplicedintron"
_WORDED = (
    # Long RNAs whose names hold those of other ones.
    (r"\bhost gene\b|\blong (?:intergenic )?non-?\s?(?:protein[ -])?coding\b|\bl(?:inc|nc)(?:-|[ _]?RNA)", LONG),
    (r"\bantisense RNA (?:\d|\([A-Z])|\bnatural antisense\b|\b(?:overlapping|intronic) transcript\b", LONG),
    (r"\bcirc(?:ular)?[ _]?RNA\b|\w{3}_circ_", "circRNA"),
    # microRNAs: miRBase names hairpins mir and mature ones miR; RefSeq and HGNC name the gene, which is the hairpin.
    (r"\bpre-?mi(?:cro)?[ _]?RNA\b|\bpre_miRNA\b|\bmi(?:cro)?RNA\b.*\b(?:precursor|stem-?loop|hairpin)\b", "premiRNA"),
    (r"\bmicroRNA \w+(?:-\w+)* \(MIR", "premiRNA"),
    (r"^(?!.*(?:[Hh]istone|UTR|element|[Ii]ron)).*\bstem-?loop\b", "premiRNA"),
    (r"(?-i:\b[a-z]{3,5}-[\w.*-]+-[35]p\b)", "miRNA"),
    (r"(?-i:\b[a-z]{3,5}-mir-)", "premiRNA"),
    (r"\bmi(?:cro)?RNA\b|(?-i:\bmiR-)", "miRNA"),
    (r"\btransfer[- ]messenger RNA\b|\btmRNA\b|\b10Sa RNA\b", "tmRNA"),
    (r"\b(?:group I{1,2}|self-splicing)\b.*\bintron\b|\bautocatalytically[ _]spliced", SPLICED),
    (r"\bsignal recognition particle\b(?! (?:protein|receptor))|\b(?:SRP|7SL)[ _]?RNA\b|\b7SL\b|\bRN7SL", "SRPRNA"),
    (r"\b(?:RNase|ribonuclease)[ _]MRP\b|\bRMRP\b|\bmitochondrial RNA processing endoribonuclease\b", "RNaseMRPRNA"),
    (r"\b(?:RNase|ribonuclease)[ _]P\b(?! protein)|\bRPPH1\b", "RNasePRNA"),
    (r"\btelomerase[ _]RNA\b|(?-i:\bTERC\b)", "telomeraseRNA"),
    (r"\bsmall Cajal body|\bscaRNA|(?-i:\bSCARNA\d)", "scaRNA"),
    (r"\bsmall nucleolar\b|\bsnoRNAs?\b|\b(?:C/D|H/ACA)[ -]?box\b|\bbox (?:C/D|H/ACA)\b|(?-i:\bSNOR[AD]\d)", "snoRNA"),
    (r"\bsmall nuclear\b(?! ribonucleo)|\bsnRNA\b|\bspliceosomal RNA\b", "snRNA"),
    (r"\bpiwi-interacting\b|\bpiRNA\b|(?-i:\bpiR-)", "piRNA"),
    (r"\bsmall interfering\b|\b(?:ta-?)?siRNA\b|\btrans-acting siRNA", "siRNA"),
    (r"\bvault[ _]?RNA|(?-i:\bVTRNA\d)", "vaultRNA"),
    (r"(?-i:\bY[_ ]RNA\b|\bRNY\d|\bYrl[AB]\b)|\bRo-associated Y\d|\byrn1\b", "YRNA"),
    (r"\bhammerhead\b", "hammerheadribozyme"),
    (r"\bribozyme\b", "ribozyme"),
    (r"\bguide[ _]RNA\b|(?-i:\bgRNA\b)", "guideRNA"),
    (r"\b(?:small|large) subunit ribosomal\b|\bribosomal RNA\b|\bpre-?rRNA\b|\brRNA\b|\bpre-ribosomal\b", "rRNA"),
    (r"\b(?:5|5\.8|1[25-8]|2[1-8])S (?:RNA|ribosomal)\b(?! protein)", "rRNA"),
    (r"\btransfer RNA\b|\btRNA(?!-like|-derived)(?![a-z])", "tRNA"),
    (r"\bsmall cytoplasmic RNA\b|(?-i:\bscRNA\b)|\bBC200\b", "scRNA"),
    (r"\bantisense[ _]RNA\b", "antisenseRNA"),
    (r"(?-i:\bsRNA\b)|\bsmall (?:regulatory )?RNA\b", "sRNA"),
    (r"\bmisc(?:ellaneous)?[ _]RNA\b", "miscRNA"),
    (r"\bprecursor[ _]RNA\b", "precursorRNA"),
    (r"\bnc_?RNA\b|\bnon-?coding RNA\b", "ncRNA"),
)  # fmt: skip
PHRASES = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _WORDED)
