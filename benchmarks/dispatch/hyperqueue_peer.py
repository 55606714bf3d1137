"""`python -m benchmarks.dispatch.hyperqueue_peer GPUS JOBS`: a HyperQueue whose cores are GPUs; prints its rate."""

import sys
import tempfile
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def measure(gpus: int, jobs: int) -> float:
    """Measure how many tasks of `/bin/true` a second one worker sees to their end, as one job."""
    with tempfile.TemporaryDirectory(prefix="hq-") as folder, LocalCluster(folder) as cluster:
        cluster.start_worker(WorkerConfig(cores=gpus))
        client, job = cluster.client(), Job()
        for _ in range(jobs):
            job.program(["/bin/true"], stdout=None, stderr=None)
        begun = time.monotonic()
        client.wait_for_jobs([client.submit(job)])
        return jobs / (time.monotonic() - begun)


if __name__ == "__main__":
    rate = measure(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write(f"\n{rate}\n")
