"""What the broker asks of the thing that runs trainers: one small protocol for `local`, `ray` and `slurm`.

An engine places and kills processes. It decides no order, requeues nothing and bills nothing: that is the broker's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class LaunchSpec:
    """One run to start. `run_token` is a secret: it travels in the environment, never in argv or a log."""

    run_id: str
    job_id: str
    fence_token: int
    run_token: str = field(repr=False)
    gpus: int
    broker_url: str


@dataclass(frozen=True)
class Capacity:
    """All the GPUs (or CPU slots) that the engine can hand out, busy ones included."""

    sku: str
    gpus: int


class RunState(StrEnum):
    """ALIVE: its process runs, or is being started. EXITED: it ended and its exit code is known.
    GONE: it does not run, and there is no trace of it or its exit code is unknown.
    """

    ALIVE = "alive"
    EXITED = "exited"
    GONE = "gone"


@dataclass(frozen=True)
class RunObservation:
    """What is true of a run now. `exit_code` stands with EXITED only; -N means killed by signal N."""

    run_id: str
    state: RunState
    exit_code: int | None = None


class LaunchError(Exception):
    """The run could not be started: no process of it exists, and it may be launched again."""

    def __init__(self, run_id: str, detail: str) -> None:
        super().__init__(f"run {run_id} could not be started: {detail}")
        self.run_id = run_id
        self.detail = detail


class Engine(Protocol):
    """Starts, watches and stops runs. No method blocks the event loop; all may be called at the same time, also from
    several broker processes. A run id that is no plain name raises ValueError.
    """

    async def capacity(self) -> Capacity:
        """Tell the whole capacity, busy devices included: the planner counts what is free.

        The engine only sees to it that no two runs have the same device.
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
        for a run that does not run. The exit is still told by `reconcile`.
        """

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        """Observe the given runs, one answer each in the given order, whoever launched them.

        It needs no memory of its own but the run ids, so a broker that restarted asks in the same way. Starts and
        stops nothing.
        """
