#!/usr/bin/env bash
# The whole path on a laptop: corpus, pretraining, export, report, and at the end what was learned. Called by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}  # a model this small gains nothing from more threads

rm -rf corpora/demo corpora/demo-folded runs/demo-everything exports/demo-everything
python -m data_prep sample --out corpora/demo
python -m data_prep fold corpora/demo --out corpora/demo-folded
deepspeed launch/pretrain.py --config demo/everything.yaml
python launch/export.py runs/demo-everything --out exports/demo-everything
python launch/report.py runs/demo-everything
python launch/evaluate.py runs/demo-everything --corpus corpora/demo-folded
