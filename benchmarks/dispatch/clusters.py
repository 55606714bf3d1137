"""Other programs that hand processes to GPUs: how many of `/bin/true` a second they start and see to their end."""

import subprocess
import sys
import time
from pathlib import Path

from tests.engines.slurm_cluster import NODES, slurm_cluster, wait_until

COMMAND = "/bin/true"
PATIENCE_SECONDS = 600.0


def measure_slurm(folder: Path, *, gpus: int, jobs: int) -> float:
    """Measure a Slurm of two nodes, by an array of jobs that is held until all of it is queued."""
    with slurm_cluster(folder, gpus=gpus // len(NODES)) as cluster:
        script = folder / "job.sh"
        script.write_text(f"#!/bin/sh\nexec {COMMAND}\n")
        options = ("--parsable", "--hold", f"--array=0-{jobs - 1}", "--gres=gpu:1", "--output=/dev/null", "--chdir=/")
        job = cluster.ask("sbatch", *options, str(script)).strip()
        begun = time.monotonic()
        cluster.ask("scontrol", "release", job)
        wait_until(lambda: not cluster.ask("squeue", "--noheader"), "all have ended", seconds=PATIENCE_SECONDS)
        return jobs / (time.monotonic() - begun)


def measure_hyperqueue(*, gpus: int, jobs: int) -> float:
    """Measure a HyperQueue, in a process of its own: within ours it loses ends of processes."""
    command = (sys.executable, "-m", "benchmarks.dispatch.hyperqueue_peer", str(gpus), str(jobs))
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    return float(done.stdout.split()[-1])  # after a table of its own
