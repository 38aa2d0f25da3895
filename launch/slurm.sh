#!/usr/bin/env bash
# Pretraining under SLURM that survives its time limit and preemption. Run it from the repository:
#
#   sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 launch/slurm.sh --config ernie.yaml corpus.path=corpora/mine
#
# One task per GPU: each rank gets each signal once, and its exit status comes through. (Under `srun deepspeed` or
# `srun torchrun` a job that saved itself counts as failed.) See docs/cluster.md.
#SBATCH --job-name=polymerase
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
# --signal: to every rank, 600 s before the time limit; choose more than a step and a save take
set -uo pipefail

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}"
python="${PYTHON:-python}"

srun --kill-on-bad-exit=1 "$python" launch/pretrain.py "$@" &
step=$!
# SLURM may signal this script as well (preemption). The step gets the signal itself, so wait on: a trapped signal only
# ends `wait` early. 127: its status was already reported.
trap ':' TERM USR1
wait "$step"
status=$?
while kill -0 "$step" 2>/dev/null; do wait "$step"; status=$?; done
wait "$step" 2>/dev/null
last=$?
[ "$last" = 127 ] || status=$last

if [ "$status" = 75 ]; then # stopped on request, everything saved: a job that ends with 0 is never requeued
    echo "saved; back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
