#!/usr/bin/env bash
# Proof that a model learns, from public files to a table (docs/proof.md).
#
#   bash launch/proof.sh laptop [RFAM_SEEDS [section.key=value ...]]   two cores, at most an hour
#   bash launch/proof.sh gpu [RFAM_SEEDS [section.key=value ...]]      one card, about ten minutes (an estimate, never run)
#   bash launch/proof.sh ladder [RFAM_SEEDS]    rates, sizes and norms of ERNIE-RNA on tRNAs: one core, about 40 minutes
#   bash launch/proof.sh muon [RFAM_SEEDS [section.key=value ...]]     Muon and AdamW on tRNAs: one core, 42 runs
#
# RFAM_SEEDS is the Stockholm file of Rfam's seed alignments; without it, release 14.2 is fetched. Settings are those of
# the training. DATA is the folder of the labeled tasks (docs/bench.md), default data; tasks whose files are not there
# are left out. OUT is where corpora and runs go, default here. What is done is not done again. SIZES, RATES and SEEDS
# are those of the tier muon.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}  # one thread adds in one order, and the second core takes the second job
tier=${1:-}
case $tier in laptop | gpu | ladder | muon) ;; *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
seeds=${2:-raw/Rfam.seed.gz}
shift $(($# < 2 ? $# : 2))
data=${DATA:-data} out=${OUT:-.}
corpora=$out/corpora run=$out/runs/proof-$tier
[ -e "$seeds" ] || python -m data_prep fetch rfam_seeds --out raw

python -m data_prep fasta "$seeds" --max-length 512 --out "$corpora/proof-rfam"
if [ "$tier" = ladder ] || [ "$tier" = muon ]; then
  # tRNAs, of relatives above 90 % identity one: a family that a small model learns, or does not, in 1,000 steps
  python -m data_prep select "$corpora/proof-rfam" --keep "source=RF00005|tRNA" --out "$corpora/ladder-trna"
  python -m data_prep split "$corpora/ladder-trna" --by similarity --identity 0.9 --out "$corpora/ladder-clusters"
  python -m data_prep select "$corpora/ladder-clusters" --representatives cluster --out "$corpora/ladder-distinct"
  python -m data_prep split "$corpora/ladder-distinct" --validation 0.15 --out "$corpora/ladder"
  rung() {  # NAME LAYERS WIDTH START RATE [section.key=value ...]; START is about 1 / sqrt(WIDTH)
    local folder=$out/runs/$tier/$1 layers=$2 width=$3 start=$4 rate=$5
    shift 5
    [ -e "$folder/DONE" ] || python launch/pretrain.py --config "proof/$tier.yaml" "run.dir=$folder" \
      "corpus.path=$corpora/ladder" "model.num_hidden_layers=$layers" "model.hidden_size=$width" \
      "model.intermediate_size=$((2 * width))" "model.num_attention_heads=$((width / 16))" "model.initializer_range=$start" \
      "optimizer.lr=$rate" "$@"
  }
fi
if [ "$tier" = muon ]; then
  compared() {  # OPTIMIZER SIZE RATE SEED [section.key=value ...]
    local optimizer=$1 layers=${2%x*} width=${2#*x} name=$1-$2-$3-seed$4 rate=$3 seed=$4
    shift 4
    rung "$name" "$layers" "$width" "$(python -c "print(f'{$width**-0.5:.3f}')")" "$rate" \
      "optimizer.name=$optimizer" "run.seed=$seed" "$@"
  }
  for size in ${SIZES:-2x32 2x64 4x128}; do
    for optimizer in adamw muon; do
      for rate in ${RATES:-0.001 0.003 0.01 0.03}; do compared $optimizer "$size" "$rate" 0 "$@"; done
      best=$(python -m pretrain.reporting.muon "$out/runs/muon" $optimizer "$size")
      for seed in ${SEEDS:-1 2 3}; do compared $optimizer "$size" "$best" "$seed" "$@"; done
    done
  done
  python -m pretrain.reporting.muon "$out/runs/muon"
  exit
elif [ "$tier" = ladder ]; then
  for rate in 3e-4 1e-3 3e-3; do
    rung "post-2x64-$rate" 2 64 0.125 $rate
    rung "post-4x128-$rate" 4 128 0.088 $rate
    rung "post-6x192-$rate" 6 192 0.072 $rate
    rung "pre-6x192-$rate" 6 192 0.072 $rate model.norm_placement=pre model.final_norm=true
  done
  # the largest, after its norms, at 1e-3: what else may be the cause, one at a time
  rung post-6x192-warmup 6 192 0.072 1e-3 schedule.warmup_steps=500
  rung post-6x192-start 6 192 0.02 1e-3
  rung post-6x192-dropout 6 192 0.072 1e-3 model.hidden_dropout_prob=0.1 model.attention_probs_dropout_prob=0.1
  rung post-6x192-batch 6 192 0.072 1e-3 batch.tokens=4096 train.steps=500
  python launch/report.py "$out"/runs/ladder/p*-6x192-?e-? --out "$out/runs/ladder/norms.html"
  python launch/report.py "$out"/runs/ladder/post-6x192-* --out "$out/runs/ladder/causes.html"
  exit
elif [ "$tier" = laptop ]; then
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
utr=
if [ -d "$data/mrl" ]; then  # beside nRC: each needs one core
  python launch/bench.py "$run" --suite utr --data "$data" --seeds 1 --out "$run/utr.json" &
  utr=$!
fi
if [ -d "$data/ncrna" ]; then
  python launch/bench.py "$run" --suite rna --tasks nrc --data "$data" --tune --precision bf16 \
    --epochs 5 --lr 1e-3 --seeds 1 --out "$run/nrc.json"
fi
[ -z "$utr" ] || wait "$utr"
python launch/report.py "$run"
python -m pretrain.reporting.proof "$run"
