"""What is left of the GPU-hours of queues in their windows, in a replay in which other runs start than did. Pure."""

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from broker.scheduling.planning.values.jobs import RunningJob
from broker.scheduling.planning.values.queues import QueueState


@dataclass(frozen=True)
class Held:
    """GPUs that a run of a queue held, from one moment to another."""

    gpus: int
    began_at: datetime
    ended_at: datetime


@dataclass
class QueueWindows:
    """Counts what runs of some queues have held, as the live cycle does; what was held before the replay is not known.

    Of the queues that are not `counted`, what is left stays as it is recorded.
    """

    counted: Collection[str]
    queues: dict[str, QueueState] = field(default_factory=dict)
    held: dict[str, deque[Held]] = field(default_factory=dict)

    def tell(self, queues: Iterable[QueueState]) -> None:
        """Tell which queues there are now, with their limits."""
        self.queues = {queue.name: queue for queue in queues if queue.name in self.counted}

    def note(self, run: RunningJob, ended_at: datetime) -> None:
        """Note a run that has let go of its GPUs."""
        if run.queue in self.counted:
            self.held.setdefault(run.queue, deque()).append(Held(run.gpus, run.started_at, ended_at))

    def list_bounded(self, running: Collection[RunningJob], now: datetime) -> list[QueueState]:
        """List the queues of which more or less is left than was told last, with what that is."""
        changed = []
        for name, queue in self.queues.items():
            left = self._count_left(queue, [run for run in running if run.queue == name], now)
            if left != queue.limits.gpu_seconds_left:
                self.queues[name] = replace(queue, limits=replace(queue.limits, gpu_seconds_left=left))
                changed.append(self.queues[name])
        return changed

    def _count_left(self, queue: QueueState, running: Iterable[RunningJob], now: datetime) -> int | None:
        limits = queue.limits
        if limits.gpu_seconds is None or limits.window is None:
            return None
        since, over = now - limits.window, self.held.setdefault(queue.name, deque())
        while over and over[0].ended_at <= since:
            over.popleft()
        ended = sum(each.gpus * max(0.0, (each.ended_at - max(each.began_at, since)).total_seconds()) for each in over)
        expected = sum(
            run.gpus * (max(now, run.p50_end) - max(run.started_at, since)).total_seconds() for run in running
        )
        return limits.gpu_seconds - math.ceil(ended) - math.ceil(expected)
