"""A recorded window as a workload: who came when and ran how long, and how what they ran on changed. Pure.

The unit is a turn: a job that waits, and then runs or leaves. A job that comes back, after a lost machine or a pause,
has another turn, as long after the end of the one before as it was recorded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.queues import ContractShare
from broker.scheduling.simulation.recording import Conditions, CycleRecord, RecordedState


@dataclass(slots=True)
class Turn:
    """A job that came to wait; moments are those of the cycles that saw it. None: not within the window.

    `run` is what its run was planned with. `left_at`: it went without having run. `lingering`: what was left of its run
    once its job had ended or waited again, and held the GPUs until it was stopped, for as long as it `lingered`.
    """

    job: WaitingJob
    came_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    left_at: datetime | None = None
    run: RunningJob | None = None
    returned_after: timedelta | None = None
    lingering: RunningJob | None = None
    lingered: timedelta | None = None


@dataclass
class Window:
    """What was recorded, as a workload. `running` ran when the window began, each with its end if it was seen.

    `cycles` are the moments that were recorded, `withheld` the jobs that were planned to start in one and did not.
    """

    begins_at: datetime
    ends_at: datetime
    conditions: list[tuple[datetime, Conditions]] = field(default_factory=list)
    shares: list[tuple[datetime, ContractShare]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    running: list[tuple[RunningJob, datetime | None]] = field(default_factory=list)
    cycles: list[datetime] = field(default_factory=list)
    withheld: set[tuple[datetime, str]] = field(default_factory=set)

    def list_contracts(self) -> set[str]:
        """List the contracts whose jobs waited or ran."""
        waited, ran = {turn.job.contract_id for turn in self.turns}, {run.contract_id for run, _ in self.running}
        return waited | ran | {share.contract_id for _, share in self.shares}


class EmptyWindow(ValueError):
    """Nothing was recorded, or no baseline is among it; the message says which."""


def read_window(records: Sequence[CycleRecord]) -> Window:
    """Read records, in order of their cycles, from the first baseline on. Raises: EmptyWindow."""
    begin = next((number for number, record in enumerate(records) if record.is_baseline), None)
    if begin is None:
        raise EmptyWindow("no baseline was recorded in this window: begin it earlier")
    return _Reader(records[begin].at, records[-1].at).read(records[begin:])


class _Reader:
    def __init__(self, begins_at: datetime, ends_at: datetime) -> None:
        self.window = Window(begins_at, ends_at)
        self.state = RecordedState()
        self.waiting: dict[str, Turn] = {}
        self.running: dict[str, Turn] = {}
        self.last_end: dict[str, datetime] = {}
        self.first_runs: dict[str, RunningJob] = {}
        self.first_ends: dict[str, datetime] = {}
        self.lingering: dict[str, tuple[Turn, datetime]] = {}

    def read(self, records: Iterable[CycleRecord]) -> Window:
        for number, record in enumerate(records):
            self.state.take(record)
            if number == 0:
                self.first_runs = dict(self.state.running)
            self.window.cycles.append(record.at)
            self.window.withheld |= {(record.at, job_id) for job_id in record.withheld}
            self.window.withheld -= {(record.at, job_id) for job_id in record.started}  # by another round of the cycle
            self._read_conditions(record)
            self._read_runs(record.at)
            self._read_line(record.at)
            self._read_starts(record)
        self.window.running = [(run, self.first_ends.get(job_id)) for job_id, run in self.first_runs.items()]
        return self.window

    def _read_conditions(self, record: CycleRecord) -> None:
        known = self.window.conditions
        if record.conditions is not None and (not known or known[-1][1] != record.conditions):
            known.append((record.at, record.conditions))
        self.window.shares += [(record.at, share) for share in record.shares]

    def _read_runs(self, at: datetime) -> None:
        """Note who no longer runs: also who was started by the cycle before, and was never seen running."""
        for job_id in [job_id for job_id in self.lingering if job_id not in self.state.running]:
            turn, since = self.lingering.pop(job_id)
            turn.lingered = at - since
        for job_id, turn in list(self.running.items()):
            turn.run = turn.run or self.state.running.get(job_id)
            if job_id not in self.state.running:
                del self.running[job_id]
                turn.ended_at = self.last_end[job_id] = at
                self._read_lingering(turn, at)
        for job_id in self.first_runs.keys() - self.first_ends.keys() - self.state.running.keys():
            self.first_ends[job_id] = self.last_end[job_id] = at

    def _read_lingering(self, turn: Turn, at: datetime) -> None:
        """Note what is left of a run that is being stopped while its job waits or runs again: it goes by its own id."""
        mark = turn.started_at, turn.job.contract_id, turn.job.gpus
        known = self.running.keys() | self.first_runs.keys() | self.lingering.keys()
        for job_id, other in self.state.running.items():
            if job_id not in known and (other.started_at, other.contract_id, other.gpus) == mark:
                turn.lingering, self.lingering[job_id] = other, (turn, at)
                return

    def _read_line(self, at: datetime) -> None:
        """Note who came to wait, and who went without having been started."""
        for job_id in [job_id for job_id in self.waiting if job_id not in self.state.waiting]:
            self.waiting.pop(job_id).left_at = at
        for job_id, job in self.state.waiting.items():
            if job_id not in self.waiting:
                ended = self.last_end.get(job_id)
                turn = Turn(job, at, returned_after=None if ended is None else at - ended)
                self.waiting[job_id] = turn
                self.window.turns.append(turn)

    def _read_starts(self, record: CycleRecord) -> None:
        for job_id in record.started:
            turn = self.waiting.pop(job_id, None)
            if turn is not None:
                turn.started_at = record.at
                self.running[job_id] = turn
