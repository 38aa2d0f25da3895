#!/usr/bin/env bash
# Proof that a model learns, from public files to a table (docs/proof.md).
#
#   bash launch/proof.sh laptop [RFAM_SEEDS [section.key=value ...]]   two cores, under an hour
#   bash launch/proof.sh gpu [RFAM_SEEDS [section.key=value ...]]      one card, about ten minutes (an estimate)
#
# RFAM_SEEDS is the Stockholm file of Rfam's seed alignments; without it, release 14.2 is fetched. Settings are those of
# the training. DATA is the folder of the labeled tasks (docs/bench.md), default data; tasks whose files are not there
# are left out. OUT is where corpora and runs go, default here. What is done is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
tier=${1:-}
case $tier in laptop | gpu) ;; *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
seeds=${2:-raw/Rfam.seed.gz}
shift $(($# < 2 ? $# : 2))
data=${DATA:-data} out=${OUT:-.}
corpora=$out/corpora run=$out/runs/proof-$tier
[ -e "$seeds" ] || python -m data_prep fetch rfam_seeds --out raw

python -m data_prep fasta "$seeds" --max-length 512 --out "$corpora/proof-rfam"
if [ "$tier" = laptop ]; then
  # the large families; of relatives above 80 % identity one, so that copying is no way to win
  python -m data_prep select "$corpora/proof-rfam" --keep source=@configs/proof/large_families.txt --out "$corpora/proof-large"
  python -m data_prep split "$corpora/proof-large" --by similarity --identity 0.8 --out "$corpora/proof-clusters"
  python -m data_prep select "$corpora/proof-clusters" --representatives cluster --out "$corpora/proof-distinct"
  python -m data_prep split "$corpora/proof-distinct" --by source --validation 0.15 --out "$corpora/proof-families"
else
  python -m data_prep split "$corpora/proof-rfam" --by source --validation 0.05 --out "$corpora/proof-families"
fi
# some families are held out whole; of the others every tenth sequence
python -m data_prep select "$corpora/proof-families" --split train --out "$corpora/proof-seen"
python -m data_prep split "$corpora/proof-seen" --validation 0.1 --out "$corpora/proof-random"

config=(--config "proof/$tier.yaml" "run.dir=$run" "corpus.path=$corpora/proof-random" "$@")
if [ "$tier" = gpu ]; then
  deepspeed --num_gpus 1 launch/pretrain.py "${config[@]}"
else
  python launch/pretrain.py "${config[@]}"
fi
python launch/evaluate.py "$run" --corpus "$corpora/proof-random" --json > "$run/random.json"
python launch/evaluate.py "$run" --corpus "$corpora/proof-families" --json > "$run/families.json"
if [ -d "$data/ncrna" ]; then
  python launch/bench.py "$run" --suite rna --tasks nrc --data "$data" --tune --precision bf16 \
    --epochs 5 --lr 1e-3 --seeds 1 --out "$run/nrc.json"
fi
if [ -d "$data/mrl" ]; then
  python launch/bench.py "$run" --suite utr --data "$data" --seeds 1 --out "$run/utr.json"
fi
python launch/report.py "$run"
python -m pretrain.reporting.proof "$run"
