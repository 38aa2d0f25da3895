#!/usr/bin/env bash
# Proof that a model learns, from public files to a table (docs/proof.md).
#
#   bash launch/proof.sh laptop [RFAM_SEEDS]   two cores, under an hour
#   bash launch/proof.sh gpu [RFAM_SEEDS]      one card, about ten minutes
#
# RFAM_SEEDS is the Stockholm file of Rfam's seed alignments; without it, release 14.2 is fetched. DATA is the folder of
# the labelled tasks (docs/bench.md); a task whose files are not there is left out. What is done is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
tier=${1:-}
case $tier in laptop | gpu) ;; *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
seeds=${2:-raw/Rfam.seed.gz}
data=${DATA:-data}
[ -e "$seeds" ] || python -m data_prep fetch rfam_seeds --out raw

python -m data_prep fasta "$seeds" --max-length 512 --out corpora/proof-rfam
if [ "$tier" = laptop ]; then
  # the large families; of relatives above 80 % identity one, so that copying is no way to win
  python -m data_prep select corpora/proof-rfam --keep source=@configs/proof/large_families.txt --out corpora/proof-large
  python -m data_prep split corpora/proof-large --by similarity --identity 0.8 --out corpora/proof-clusters
  python -m data_prep select corpora/proof-clusters --representatives cluster --out corpora/proof-distinct
  # some families are held out whole; of the others every tenth sequence
  python -m data_prep split corpora/proof-distinct --by source --validation 0.15 --out corpora/proof-families
else
  python -m data_prep split corpora/proof-rfam --by source --validation 0.05 --out corpora/proof-families
fi
python -m data_prep select corpora/proof-families --split train --out corpora/proof-seen
python -m data_prep split corpora/proof-seen --validation 0.1 --out "corpora/proof-random"

if [ "$tier" = gpu ]; then
  deepspeed --num_gpus 1 launch/pretrain.py --config proof/gpu.yaml
else
  python launch/pretrain.py --config proof/laptop.yaml
fi
run=runs/proof-$tier
python launch/evaluate.py "$run" --corpus corpora/proof-random --json > "$run/random.json"
python launch/evaluate.py "$run" --corpus corpora/proof-families --json > "$run/families.json"
python launch/bench.py "$run" --suite rna --tasks nrc --data "$data" --tune --epochs 6 --lr 1e-3 --seeds 1 --out "$run/nrc.json"
python launch/bench.py "$run" --suite utr --data "$data" --seeds 1 --out "$run/utr.json"
python launch/report.py "$run"
python -m pretrain.reporting.proof "$run"
