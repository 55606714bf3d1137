"""A real Ray on this machine: a head and a second node of four pretended GPUs each, all below one folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import psutil

from broker.execution.ray.answers import SHORT_ID
from tests.engines.keeper import Keeper, keeper
from tests.engines.slurm_cluster import GPUS_PER_NODE, find_ports, wait_until

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1", "RAY_AUTH_MODE": "disabled"}
START_SECONDS = 600.0
# What Ray gives up after by itself: a loaded machine takes longer.
PATIENCE = {
    "RAY_raylet_start_wait_time_s": "600",
    "RAY_gcs_server_request_timeout_seconds": "600",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "600",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_timeout_ms": "60000",  # one that is dead refuses at once
}
STORE_BYTES = 100_000_000  # the least that Ray takes, or so


@dataclass
class RayCluster:
    """The cluster by the processes that it started; `folder` is short, since sockets lie in it."""

    program: Path
    keeper: Keeper
    folder: Path
    logs: Path
    gcs_port: int
    dashboard_port: int
    heads: list[psutil.Process] = field(default_factory=list)
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
        self._await_nodes(1, "the head of Ray answers")

    def start_node(self) -> None:
        self._start(f"--address=127.0.0.1:{self.gcs_port}")
        self._await_nodes(2, "the second node of Ray is there")

    def _await_nodes(self, count: int, what: str) -> None:
        def are_there() -> bool:
            if not self.heads[-1].is_running():
                raise ChildProcessError(f"{what}: `ray start` has ended: {self._log.read_text()[-2000:]}")
            return self.count_nodes() == count

        wait_until(are_there, what, seconds=START_SECONDS)

    @property
    def _log(self) -> Path:
        return self.logs / "ray.out"

    def _start(self, *options: str) -> None:
        command = [str(self.program), "start", "--block", f"--num-gpus={GPUS_PER_NODE}", "--num-cpus=8", *options]
        command += [f"--object-store-memory={STORE_BYTES}", f"--dashboard-agent-listen-port={find_ports(1)[0]}"]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
        self.heads.append(self.keeper.start(command, self._log, clean | QUIET | PATIENCE))

    def count_nodes(self) -> int:
        return len(self.node_ids())

    def node_ids(self) -> list[str]:
        """List the ids of live nodes as far as names have them, the head's first; none where nobody answers."""
        with suppress(httpx.HTTPError, ValueError, KeyError):
            answer = httpx.get(f"{self.address}/api/v0/nodes", params={"detail": "true"}, timeout=30)
            nodes = [node for node in answer.json()["data"]["result"]["result"] if node["state"] == "ALIVE"]
            return [node["node_id"][:SHORT_ID] for node in sorted(nodes, key=lambda node: not node["is_head_node"])]
        return []

    def kill_second_node(self) -> None:
        """Kill the second node's daemon with SIGKILL, as if its machine had lost power."""
        for process in self.heads[1].children(recursive=True):
            if process.name() == "raylet":
                process.kill()
        self.heads.pop().wait(START_SECONDS)

    def take_away(self) -> None:
        """Stop what answers the API, so that it does not answer; what runs goes on."""
        for process in self.heads[0].children(recursive=True):
            with suppress(psutil.Error):
                if any(word.endswith("dashboard.py") for word in process.cmdline()):
                    self.frozen.append(process)
                    process.suspend()

    def bring_back(self) -> None:
        while self.frozen:
            with suppress(psutil.NoSuchProcess):
                self.frozen.pop().resume()
        wait_until(lambda: self.count_nodes() > 0, "the head of Ray answers again", seconds=START_SECONDS)


@contextmanager
def ray_cluster(program: Path, logs: Path) -> Iterator[RayCluster]:
    """Start a cluster; its processes end with the block."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder, keeper() as kept:
        cluster = RayCluster(program, kept, Path(folder), logs, *find_ports(2))
        cluster.start_head()
        cluster.start_node()
        yield cluster
