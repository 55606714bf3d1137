"""What the broker asks of the thing that runs trainers: one small protocol for `local`, `ray` and `slurm`.

An engine places and kills processes. It decides no order, requeues nothing and bills nothing: that is the broker's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from broker import traces
from broker.capacity.model import NodeCapacity, NodeState
from broker.errors import OperatorError

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class NotYet(Exception):
    """A launch that the engine cannot do at this moment, as is to be expected now and then; it is tried again."""


@dataclass(frozen=True)
class LaunchSpec:
    """One run to start. `run_token` is a secret: it travels in the environment, never in argv or a log.

    `node`: where the planner wants it; None where any node of the pool will do. All GPUs are of one node.
    `traceparent`: of the trace that its trainer goes on with; None where none is.
    """

    run_id: str
    job_id: str
    fence_token: int
    run_token: str = field(repr=False)
    gpus: int
    broker_url: str
    node: str | None = None
    traceparent: str | None = None

    @property
    def trace_environment(self) -> dict[str, str]:
        """List what tells the trainer which trace it is of, and where traces go; nothing where there is none."""
        return {} if self.traceparent is None else {**traces.list_environment(), "TRACEPARENT": self.traceparent}


@dataclass(frozen=True)
class Capacity:
    """All the GPUs (or CPU slots) that the engine can hand out now, busy ones included.

    `nodes` are those that it knows, closed ones too, by name; an engine of one machine names none.
    """

    sku: str
    gpus: int
    nodes: tuple[NodeCapacity, ...] = ()

    @classmethod
    def of_nodes(cls, sku: str, nodes: tuple[NodeCapacity, ...]) -> "Capacity":
        """Add up the nodes that take starts; where none does, all: the pool is closed then, not gone."""
        open_gpus = sum(node.gpus for node in nodes if node.state is NodeState.OPEN)
        return cls(sku, open_gpus or sum(node.gpus for node in nodes), nodes)

    @property
    def while_unreachable(self) -> "Capacity":
        """Say what is known while the engine does not answer: its nodes hand out nothing."""
        return replace(self, nodes=tuple(replace(node, state=NodeState.DOWN) for node in self.nodes))


class RunState(StrEnum):
    """WAITING: the engine has it, and has not found a place for it yet. ALIVE: its process runs, or is being started.
    EXITED: it ended and its exit code is known. GONE: it does not run, and there is no trace of it or its exit code is
    unknown.
    """

    WAITING = "waiting"
    ALIVE = "alive"
    EXITED = "exited"
    GONE = "gone"

    @property
    def is_over(self) -> bool:
        return self in {RunState.EXITED, RunState.GONE}


@dataclass(frozen=True)
class RunObservation:
    """What is true of a run now. `exit_code` stands with EXITED only; -N means killed by signal N.

    `detail`: what the engine says of its end, such as a node that failed.
    """

    run_id: str
    state: RunState
    exit_code: int | None = None
    detail: str = ""

    @property
    def is_over(self) -> bool:
        return self.state.is_over


class LaunchError(Exception):
    """The run could not be started: no process of it exists, and it may be launched again."""

    def __init__(self, run_id: str, detail: str) -> None:
        super().__init__(f"run {run_id} could not be started: {detail}")
        self.run_id = run_id
        self.detail = detail


class EngineUnreachable(OperatorError):
    """The engine does not answer: nothing is known of its runs, which may go on; it is asked again.

    The message names the setting or the program at fault, and the cure.
    """


class EngineNotInstalled(EngineUnreachable):
    """A program that the engine asks by is not on this machine: waiting does not mend it."""


def check_run_id(run_id: str) -> str:
    """Return a run id that is a plain name: it becomes part of paths and commands. Raises: ValueError."""
    if not RUN_ID.fullmatch(run_id):
        message = f"not a run id: {run_id!r}"
        raise ValueError(message)
    return run_id


class Engine(Protocol):
    """Starts, watches and stops runs. No method blocks the event loop; all may be called at the same time, also from
    several broker processes. A run id that is no plain name raises ValueError.
    """

    async def capacity(self) -> Capacity:
        """Tell the whole capacity, busy devices included: the planner counts what is free.

        The engine only sees to it that no two runs have the same device. Asked again, it tells which nodes came and
        went. Raises: EngineUnreachable.
        """

    async def launch(self, spec: LaunchSpec) -> str:
        """Start the run and return its handle, a word for people: where to look for it.

        At most one process is ever started for a run id, whatever crashes in between and however many callers there
        are. Launching again returns the same handle and starts nothing, even when the run has ended since. The run
        outlives the broker.
        Raises: LaunchError when nothing was started, since the machine cannot: it would not start the next one either.
        Whatever else it raises may pass; nothing was started, and the same run id is launched again.
        """

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        """Ask the run's processes to end (SIGTERM), and after `grace_seconds` make them (SIGKILL).

        Returns when they have ended, or ten seconds after a SIGKILL that the kernel has not carried out; does nothing
        for a run that does not run; one that waits for its place is taken back. The exit is still told by `reconcile`.
        Raises: EngineUnreachable.
        """

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        """Observe the given runs, one answer each in the given order, whoever launched them.

        It needs no memory of its own but the run ids, so a broker that restarted asks in the same way. Starts and
        stops nothing. Raises: EngineUnreachable: a run is called gone only by an engine that answers.
        """

    async def close(self) -> None:
        """Let go of connections; what runs goes on."""
