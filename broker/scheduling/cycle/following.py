"""A planner that is kept from one cycle to the next, and told what differs from what it was told before. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from broker.scheduling.planning.books.nodes import name_nodes
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.planning.values.snapshot import Batch, ClusterSnapshot, Kept

Told = TypeVar("Told", PoolState, QueueState, ContractShare)


class FollowingPlanner:
    """Keeps a planner up to date with what is read; `waiting` are the jobs that it was told of as such."""

    def __init__(self) -> None:
        self.planner = Planner()
        self.waiting: dict[str, WaitingJob] = {}
        self._pools: dict[str, PoolState] = {}
        self._queues: dict[str, QueueState] = {}
        self._shares: dict[str, ContractShare] = {}
        self._running: dict[str, RunningJob] = {}
        self._kept: dict[str, Kept] = {}
        self._batches: Sequence[Batch] = ()

    def follow(self, now: ClusterSnapshot, changed: Mapping[str, WaitingJob | None]) -> bool:
        """Follow to what is true now. Of the jobs that wait those that have `changed` are told; None: it waits no more.

        Everything else of the snapshot is compared whole: it is as few as devices, queues and contracts are. Tells
        whether anything was new.
        """
        tell, forget = self.planner.change, self.planner
        news = [
            _follow(self._pools, {pool.name: pool for pool in name_nodes(now)}, tell, forget.forget_pool),
            _follow(self._queues, {queue.name: queue for queue in now.queues}, tell, forget.forget_queue),
            _follow(self._shares, {share.contract_id: share for share in now.shares}, tell, self._forget_share),
            self._follow_runs({run.job_id: run for run in now.running}),
            bool(changed),
            self._batches != now.batches,
        ]
        self._follow_waiting(changed)
        self._batches = now.batches
        return self._follow_kept(now.kept) or any(news)

    def _forget_share(self, contract_id: str) -> None:
        self.planner.change(ContractShare(contract_id))

    def _follow_runs(self, running: dict[str, RunningJob]) -> bool:
        if running == self._running:
            return False
        for job_id in self._running.keys() - running.keys():
            self.planner.end(job_id)
        for job_id, run in running.items():
            if self._running.get(job_id) != run:
                self.planner.start(run)
        self._running = running
        return True

    def _follow_waiting(self, changed: Mapping[str, WaitingJob | None]) -> None:
        for job_id, job in changed.items():
            known = self.waiting.pop(job_id, None)
            if job is not None:
                self.waiting[job_id] = job
                if job != known or job_id not in self.planner.books.waiting:
                    self.planner.submit(job)
            elif known is not None and job_id not in self._running:
                self.planner.end(job_id)

    def _follow_kept(self, now: Iterable[Kept]) -> bool:
        kept = {each.job_id: each for each in now}
        is_new = kept != self._kept
        for job_id in self._kept.keys() - kept.keys():
            self.planner.release(job_id)
        for each in kept.values():  # starts and ends of the very job have released it
            self.planner.change(each)
        self._kept = kept
        return is_new


def _follow(
    known: dict[str, Told], now: dict[str, Told], tell: Callable[[Told], None], forget: Callable[[str], None]
) -> bool:
    """Tell what is new or different, and forget what is gone; tells whether there was any of it."""
    if known == now:
        return False
    for name in known.keys() - now.keys():
        forget(name)
    for name, value in now.items():
        if known.get(name) != value:
            tell(value)
    known.clear()
    known.update(now)
    return True
