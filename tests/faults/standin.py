"""Stand-ins of srun, mpirun and sbatch, by the name under which this file is called (a link): they start processes
with the variables that the real ones set (SLURM 23, Open MPI 5, MPICH 4), and end all as soon as one ends with an
error, as `srun --kill-on-bad-exit` and mpirun do.

srun COMMAND, mpirun [-n N] COMMAND, mpiexec [-n N] COMMAND (MPICH), sbatch COMMAND: as many as STANDIN_RANKS or N;
sbatch starts one, the batch step, whatever the number of tasks.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

OPTIONS = {"-n": 1, "-hostfile": 1, "--mca": 2, "-x": 1, "--kill-on-bad-exit=1": 0}  # and how many words follow


def command_of(words):
    """The words behind the launcher's own; what ``-x NAME=VALUE`` exports; the number of ranks."""
    exported, ranks = {}, int(os.environ.get("STANDIN_RANKS", "2"))
    while words[0] in OPTIONS:
        option, values = words[0], words[1 : 1 + OPTIONS[words[0]]]
        words = words[1 + len(values) :]
        if option == "-n":
            ranks = int(values[0])
        elif option == "-x":
            name, _, value = values[0].partition("=")
            exported[name] = value
    return words, exported, ranks


def variables(launcher, rank, ranks):
    slurm = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": ranks, "SLURM_JOB_NODELIST": "127.0.0.1"}
    return {
        "srun": slurm | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_ID": 0},
        "sbatch": slurm | {"SLURM_PROCID": 0, "SLURM_LOCALID": 0},
        "mpirun": {
            "OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": ranks, "OMPI_COMM_WORLD_LOCAL_RANK": rank,
            "OMPI_COMM_WORLD_LOCAL_SIZE": ranks, "PMIX_NAMESPACE": f"prterun-host-{os.getpid()}@1", "PMIX_RANK": rank,
        },
        "mpiexec": {
            "PMI_RANK": rank, "PMI_SIZE": ranks, "MPI_LOCALRANKID": rank, "MPI_LOCALNRANKS": ranks,
            "PMI_JOBID": str(os.getpid()),
        },
    }[launcher]  # fmt: skip


def main():
    launcher = Path(sys.argv[0]).name
    words, exported, ranks = command_of(sys.argv[1:])
    alive = []
    for rank in range(1 if launcher == "sbatch" else ranks):
        given = {name: str(value) for name, value in variables(launcher, rank, ranks).items()}
        alive.append(subprocess.Popen(words, env=os.environ | exported | given))
    signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in alive])
    worst = 0
    while alive:
        ended = [process for process in alive if process.poll() is not None]
        alive = [process for process in alive if process not in ended]
        for status in (process.returncode for process in ended):
            if status and not worst:
                worst = status
                for process in alive:
                    process.terminate()
        time.sleep(0.02)
    return worst


if __name__ == "__main__":
    sys.exit(main())
