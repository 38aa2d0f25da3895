"""What CD-HIT and MMseqs2 do with reverse complements, and that `split --clusters` keeps what their tables say."""

import shutil
import subprocess

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally

COMPLEMENT = bytes.maketrans(b"ACGU", b"UGCA")
# what is called -> (command, table, whether a sequence and its reverse complement are one cluster)
COMMANDS = {
    "cd-hit-est": ("cd-hit-est -i {fasta} -o {out} -c 0.9 -d 0 -M 0", "{out}.clstr", True),
    "cd-hit-est -r 0": ("cd-hit-est -i {fasta} -o {out} -c 0.9 -d 0 -M 0 -r 0", "{out}.clstr", False),
    "mmseqs": (
        "mmseqs easy-linclust {fasta} {out} {out}_tmp --min-seq-id 0.9 -c 0.8 --dbtype 2 -v 1",
        "{out}_cluster.tsv",
        True,
    ),
}


@pytest.mark.parametrize("called", COMMANDS)
def test_reverse_complements_share_a_cluster_or_not_as_the_page_says(called, tmp_path):
    command, table, are_joined = COMMANDS[called]
    if not shutil.which(command.split()[0]):
        pytest.skip(f"needs {command.split()[0]} on the PATH")
    generator = np.random.default_rng(0)
    parents = [generator.choice(np.frombuffer(b"ACGU", np.uint8), 150).tobytes() for _ in range(40)]
    rows = {f"p{number}": row for number, row in enumerate(parents)}
    rows |= {f"r{number}": row.translate(COMPLEMENT)[::-1] for number, row in enumerate(parents)}
    with SequenceWriter(tmp_path / "in", stage="test", parameters={}) as writer:
        writer.append("train", list(rows), list(rows.values()))
        writer.finish(Tally())
    places = {"fasta": tmp_path / "in.fa", "out": tmp_path / "clusters"}
    text = "".join(f">{name}\n{row.decode().replace('U', 'T')}\n" for name, row in rows.items())
    places["fasta"].write_text(text)
    subprocess.run([word.format(**places) for word in command.split()], check=True, capture_output=True)
    out = tmp_path / "out"
    options = ("--clusters", table.format(**places), "--validation", "0.4")
    assert main(["split", str(tmp_path / "in"), "--out", str(out), *options]) == 0
    opened = open_corpus(out)
    tables = [opened.split(split) for split in opened.splits]
    train, held_out = ({name[1:] for name in table.ids(np.arange(len(table)))} for table in tables)
    assert bool(train & held_out) != are_joined
    assert opened.manifest["stages"][-1]["groups"]["all"] == (40 if are_joined else 80)
