"""What the conformance tests do to an engine beyond its protocol: take its servers away, and bring them back."""

import json
import secrets
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from broker.execution.engine import Engine, LaunchSpec
from broker.execution.local import LocalEngine
from broker.execution.ray.engine import RayEngine
from broker.execution.ray.jobs_api import JobsApi
from broker.execution.slurm.commands import SlurmCommands
from broker.execution.slurm.engine import SlurmEngine
from tests.engines.ray_cluster import RayCluster
from tests.engines.slurm_cluster import GPUS_PER_NODE, NODES, SlurmCluster

STEP_DAEMON = "slurmstepd"
BROKER = """
import asyncio, os, signal, sys
from pathlib import Path
from broker.execution.engine import LaunchSpec
runs_dir, program, run_id = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
command = (sys.executable, "-c", program)
{make}
def launch(): asyncio.run(engine.launch(LaunchSpec(run_id, "job_1", 3, "s3cret", 1, "http://broker")))
def die(): os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class Bench(ABC):
    """One kind of engine on a folder of runs. `engines` were made by the test; `prefix` tells its runs from others'."""

    runs_dir: Path
    engines: list[Engine] = field(default_factory=list)
    prefix: str = field(default_factory=lambda: secrets.token_hex(4))
    gpus = len(NODES) * GPUS_PER_NODE
    gpus_of_node = GPUS_PER_NODE
    grace_seconds = 120.0
    make_in_broker = ""
    launch_dies_at = ""

    def make(self, program: str, *, timeout_seconds: float = 120.0) -> Engine:
        """Make an engine whose runs are a Python program, as a broker that restarts would: without any memory."""
        engine = self._make((sys.executable, "-c", program), timeout_seconds)
        self.engines.append(engine)
        return engine

    @abstractmethod
    def _make(self, command: tuple[str, ...], timeout_seconds: float) -> Engine: ...

    def name(self, number: int = 1) -> str:
        return f"run_{self.prefix}_{number}"

    def spec(self, number: int = 1, *, gpus: int = 1, node: str | None = None) -> LaunchSpec:
        return LaunchSpec(self.name(number), "job_1", 3, "s3cret", gpus, "http://broker", node)

    def starts_of(self, number: int = 1) -> list[dict[str, Any]]:
        """Return the environment of each process that ever started for a run."""
        path = self.runs_dir / self.name(number) / "work" / "starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def broker(self) -> str:
        return BROKER.format(make=self.make_in_broker)


class LocalBench(Bench):
    gpus = gpus_of_node = 4
    make_in_broker = (
        "from broker.execution import local\nengine = local.LocalEngine(runs_dir, slots=4, command=command)"
    )
    launch_dies_at = "engine._spawn = lambda *_: die()"

    def _make(self, command: tuple[str, ...], timeout_seconds: float) -> Engine:  # noqa: ARG002 (it asks nobody)
        return LocalEngine(self.runs_dir, slots=self.gpus, command=command)


@dataclass
class ClusterBench(Bench):
    """A kind of engine that asks a server, which may be away, for GPUs of nodes, which may be lost."""

    @abstractmethod
    def take_server_away(self) -> None:
        """End what the engine asks, with SIGKILL; what runs goes on, where the engine's kind allows it."""

    @abstractmethod
    def bring_server_back(self) -> None: ...

    @abstractmethod
    async def find_second_node(self) -> str:
        """Find the node that a test may kill."""

    @abstractmethod
    def is_on(self, start: dict[str, Any], node: str) -> bool:
        """Tell whether a process was started on a node."""

    @abstractmethod
    def lose_node(self, start: dict[str, Any]) -> None:
        """Kill the second node's daemon and all of a run on it, as if the machine had lost power."""

    @abstractmethod
    def bring_node_back(self) -> None: ...


@dataclass
class SlurmBench(ClusterBench):
    cluster: SlurmCluster = None  # type: ignore[assignment]
    make_in_broker = (
        "from broker.execution.slurm.engine import SlurmEngine\n"
        "engine = SlurmEngine(runs_dir, sku='cpu', command=command)"
    )
    launch_dies_at = "engine._submit = lambda *_, **__: die()"

    def _make(self, command: tuple[str, ...], timeout_seconds: float) -> Engine:
        commands = SlurmCommands(timeout_seconds=timeout_seconds)
        return SlurmEngine(self.runs_dir, sku="cpu", command=command, fresh_seconds=0.1, commands=commands)

    def take_server_away(self) -> None:
        self.cluster.take_away()

    def bring_server_back(self) -> None:
        self.cluster.bring_back()

    async def find_second_node(self) -> str:
        return NODES[1]

    def is_on(self, start: dict[str, Any], node: str) -> bool:
        return bool(start["SLURMD_NODENAME"] == node)

    def lose_node(self, start: dict[str, Any]) -> None:
        run = list_run(psutil.Process(start["pid"]))
        self.cluster.kill(NODES[1])
        for process in run:  # from the daemon downwards: none may tell of the others' end
            process.kill()

    def bring_node_back(self) -> None:
        if NODES[1] not in self.cluster.daemons:
            self.cluster.start_node(NODES[1])
        self.cluster.await_nodes()


def list_run(trainer: psutil.Process) -> list[psutil.Process]:
    """List the processes of a run of Slurm, from the daemon of its step down; whoever started the node is none."""
    above = trainer.parents()
    daemon = next(index for index, process in enumerate(above) if process.name() == STEP_DAEMON)
    return [*reversed(above[: daemon + 1]), trainer]


@dataclass
class RayBench(ClusterBench):
    cluster: RayCluster = None  # type: ignore[assignment]
    launch_dies_at = "engine._submit = lambda *_, **__: die()"

    @property
    def make_in_broker(self) -> str:  # type: ignore[override]
        return (
            "from broker.execution.ray.engine import RayEngine\n"
            "from broker.execution.ray.jobs_api import JobsApi\n"
            f"engine = RayEngine(runs_dir, api=JobsApi({self.cluster.address!r}), sku='cpu', command=command)"
        )

    def _make(self, command: tuple[str, ...], timeout_seconds: float) -> Engine:
        api = JobsApi(self.cluster.address, timeout_seconds=timeout_seconds)
        return RayEngine(self.runs_dir, api=api, sku="cpu", command=command, fresh_seconds=0.1)

    def take_server_away(self) -> None:
        self.cluster.take_away()

    def bring_server_back(self) -> None:
        self.cluster.bring_back()

    async def find_second_node(self) -> str:
        nodes = await self.engines[0].capacity() if self.engines else await self.make("pass").capacity()
        return next(node.name for node in nodes.nodes if not node.name.endswith(self.cluster.node_ids()[0]))

    def is_on(self, start: dict[str, Any], node: str) -> bool:  # noqa: ARG002 (it may run nowhere else)
        return node.endswith(self.cluster.node_ids()[1])

    def lose_node(self, start: dict[str, Any]) -> None:  # noqa: ARG002 (Ray ends what ran there)
        self.cluster.kill_second_node()

    def bring_node_back(self) -> None:
        if len(self.cluster.heads) < 2:
            self.cluster.start_node()
