#!/usr/bin/env bash
# An engineer with a cluster: plan, job script, a kill, the same command on another number of ranks, a comparison of runs
# and of models, a card. Run from an empty folder with `launch` and `configs` in it:
#
#   bash tests/journeys/engineer.sh
#
# `srun` must be a command; on a machine without SLURM one that starts a rank and writes its id to srun.pids. Two CPU
# processes stand for two GPUs. STEPS (default 80) is how long is trained.
set -euo pipefail
steps="${STEPS:-80}"
port="${PORT:-29655}"

python -m data_prep sample --sequences 200 --out corpora/demo
settings=(--config demo/ernie.yaml corpus.path=corpora/demo model.hidden_size=32 model.intermediate_size=64
  schedule.warmup_steps=5 batch.tokens=512 batch.micro_batches_per_step=2 "train.steps=$steps" train.eval_every=0
  train.save_every=4 train.log_every=20 'tracking.sinks=[]')

echo "== 1. plan for 16 ranks: the command to submit stands in the first line"
python launch/pretrain.py "${settings[@]}" run.dir=runs/a --dry-run --ranks 16 | sed -n 1p

echo "== 2. the job script starts it on one rank; the node dies after the first checkpoint"
bash launch/slurm.sh "${settings[@]}" run.dir=runs/a &
job=$!
until [ -e runs/a/checkpoints/latest ]; do
  kill -0 "$job" || { echo "the run ended before it saved"; exit 1; }
  sleep 0.05
done
kill -9 $(cat srun.pids)
wait "$job" || echo "the job failed, status $?"
[ ! -e runs/a/DONE ]

echo "== 3. the same command on two ranks goes on"
torchrun --nnodes 1 --nproc_per_node 2 --master_port "$port" launch/pretrain.py "${settings[@]}" run.dir=runs/a
[ "$(cat runs/a/DONE)" = "$steps" ]
python launch/pretrain.py "${settings[@]}" run.dir=runs/a

echo "== 4. another run, and both over each other"
python launch/pretrain.py "${settings[@]}" run.dir=runs/b optimizer.lr=1e-3
python launch/report.py runs/a runs/b --out both.html

echo "== 5. a checkpoint with its card, compared with the run"
python launch/export.py runs/a --out exports/a --license apache-2.0
python launch/compare.py runs/a exports/a --corpus corpora/demo
sed -n 1,12p exports/a/README.md
python launch/push.py exports/a --repo lab/a --check
echo "journey done"
