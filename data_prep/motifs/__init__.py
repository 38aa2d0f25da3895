"""Motif lists: read the usual formats, normalize, tell how much of a corpus they cover, mine new ones.

The list that the stage writes, and that motif masking reads, is plain text: one motif a line, upper case with U, each
once; lines that start with `#` are comments, and `# source: NAME` names where the motifs below it come from.
"""
