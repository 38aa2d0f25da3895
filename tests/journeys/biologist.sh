#!/usr/bin/env bash
# A biologist with a FASTA: corpus, a look at it, a quick pretraining, its report, a checkpoint for transformers, the
# notebook of docs/ on it, and a hub. Run from an empty folder with `launch`, `configs` and `docs` in it:
#
#   bash tests/journeys/biologist.sh my.fa.gz
#
# HF_ENDPOINT and HF_TOKEN name the hub; without them nothing is pushed. STEPS (default 30) is how long is trained: enough
# to walk the way, not to learn.
set -euo pipefail
fasta="$1"
steps="${STEPS:-30}"

echo "== 1. raw FASTA -> corpus, and a page about it"
python -m data_prep fasta "$fasta" --out corpora/mine
python -m data_prep inspect corpora/mine --out looks

echo "== 2. will it run, and how"
settings=(--config demo/ernie.yaml corpus.path=corpora/mine run.dir=runs/mine model.hidden_size=32
  model.intermediate_size=64 schedule.warmup_steps=5 "train.steps=$steps" "train.eval_every=$steps" train.save_every=0
  'tracking.sinks=[]')
python launch/pretrain.py "${settings[@]}" --dry-run | sed -n 1,12p

echo "== 3. pretrain, and read the report"
python launch/pretrain.py "${settings[@]}"
python launch/report.py runs/mine

echo "== 4. a folder that transformers loads, with a license"
python launch/export.py runs/mine --out exports/mine --license cc-by-4.0

echo "== 5. the notebook, from its first cell to its last"
python - <<'PYTHON'
import json

cells = [cell for cell in json.load(open("docs/library.ipynb"))["cells"] if cell["cell_type"] == "code"]
names = {"__name__": "__main__"}
for cell in cells:
    exec("".join(cell["source"]), names)
print("notebook done,", len(cells), "cells")
PYTHON
python launch/evaluate.py exports/mine --mutate "$fasta" --sequences 2 --out mutated

if [ -n "${HF_ENDPOINT:-}" ]; then
  echo "== 6. publish it, and load it by its name"
  python launch/push.py corpora/mine --repo lab/rnas --license cc-by-4.0
  python launch/push.py exports/mine --repo lab/mine --dataset lab/rnas
  python launch/fetch_model.py lab/mine --out exports/fetched
  cmp exports/mine/model.safetensors exports/fetched/model.safetensors
  python - <<'PYTHON'
import torch
from transformers import AutoModel

by_name = AutoModel.from_pretrained("lab/mine", trust_remote_code=True)
here = AutoModel.from_pretrained("exports/mine", trust_remote_code=True)
same = all(torch.equal(a, b) for a, b in zip(by_name.parameters(), here.parameters(), strict=True))
print("by its name:", type(by_name).__name__, "same weights" if same else "OTHER WEIGHTS")
PYTHON
fi
echo "journey done"
