"""A real Ray on this machine: a head and a second node of four pretended GPUs each, all below one folder."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import psutil

from broker.execution.ray.answers import SHORT_ID
from tests.engines.slurm_cluster import GPUS_PER_NODE, find_ports, wait_until

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_AUTH_MODE": "disabled"}
STORE_BYTES = 100_000_000  # the least that Ray takes, or so
START_SECONDS = 120.0


@dataclass
class RayCluster:
    """The cluster by the processes that it started; `folder` is short, since sockets lie in it."""

    program: Path
    folder: Path
    logs: Path
    gcs_port: int
    dashboard_port: int
    heads: list[subprocess.Popen[bytes]] = field(default_factory=list)
    frozen: list[psutil.Process] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    def start_head(self) -> None:
        self._start(
            "--head",
            f"--port={self.gcs_port}",
            f"--dashboard-port={self.dashboard_port}",
            "--dashboard-host=127.0.0.1",
            f"--ray-client-server-port={find_ports(1)[0]}",
            f"--temp-dir={self.folder}",
        )
        wait_until(lambda: self.count_nodes() == 1, "the head of Ray answers", seconds=START_SECONDS)

    def start_node(self) -> None:
        self._start(f"--address=127.0.0.1:{self.gcs_port}")
        wait_until(lambda: self.count_nodes() == 2, "the second node of Ray is there", seconds=START_SECONDS)

    def _start(self, *options: str) -> None:
        command = [str(self.program), "start", "--block", f"--num-gpus={GPUS_PER_NODE}", "--num-cpus=8", *options]
        command += [f"--object-store-memory={STORE_BYTES}", f"--dashboard-agent-listen-port={find_ports(1)[0]}"]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
        with (self.logs / "ray.out").open("ab") as output:
            head = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean | QUIET)
        self.heads.append(head)

    def count_nodes(self) -> int:
        return len(self.node_ids())

    def node_ids(self) -> list[str]:
        """List the ids of live nodes as far as names have them, the head's first; none where nobody answers."""
        with suppress(httpx.HTTPError, ValueError, KeyError):
            answer = httpx.get(f"{self.address}/api/v0/nodes", params={"detail": "true"}, timeout=5)
            nodes = [node for node in answer.json()["data"]["result"]["result"] if node["state"] == "ALIVE"]
            return [node["node_id"][:SHORT_ID] for node in sorted(nodes, key=lambda node: not node["is_head_node"])]
        return []

    def kill_second_node(self) -> None:
        """Kill the second node's daemon with SIGKILL, as if its machine had lost power."""
        tree = psutil.Process(self.heads[1].pid).children(recursive=True)
        for process in tree:
            if process.name() == "raylet":
                process.kill()
        self.heads.pop().wait(START_SECONDS)

    def take_away(self) -> None:
        """Stop what answers the API, so that it does not answer; what runs goes on."""
        for process in psutil.Process(self.heads[0].pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(word.endswith("dashboard.py") for word in process.cmdline()):
                    self.frozen.append(process)
                    process.suspend()

    def bring_back(self) -> None:
        while self.frozen:
            self.frozen.pop().resume()
        wait_until(lambda: self.count_nodes() > 0, "the head of Ray answers again", seconds=START_SECONDS)


@contextmanager
def ray_cluster(program: Path, logs: Path) -> Iterator[RayCluster]:
    """Start a cluster; its processes end with the block."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        cluster = RayCluster(program, Path(folder), logs, *find_ports(2))
        try:
            cluster.start_head()
            cluster.start_node()
            yield cluster
        finally:
            _end(cluster)


def _end(cluster: RayCluster) -> None:
    cluster.bring_back()
    tree = [process for head in cluster.heads for process in psutil.Process(head.pid).children(recursive=True)]
    for head in cluster.heads:
        head.send_signal(signal.SIGTERM)
    psutil.wait_procs(tree, timeout=20)
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for head in cluster.heads:
        head.wait(START_SECONDS)
