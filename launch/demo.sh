#!/usr/bin/env bash
# The whole path on a laptop: corpus, pretraining, export, what was learned. Called by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:-demo/ernie.yaml}
name=$(basename "$config" .yaml)

python -m data_prep sample --out corpora/demo
deepspeed launch/pretrain.py --config "$config" run.dir="runs/demo-$name"
python launch/export.py "runs/demo-$name" --out "exports/demo-$name"
