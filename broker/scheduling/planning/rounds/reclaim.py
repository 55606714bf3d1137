"""Making room for a job by stopping others: what is lent comes back, and who ranks better goes first. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from broker.scheduling.planning.books.books import Books
from broker.scheduling.planning.books.classes import JobClass
from broker.scheduling.planning.books.nodes import NodeBook
from broker.scheduling.planning.rounds.preemption import (
    Candidate,
    choose_victims,
    may_stop,
    price_lost_work,
    tell_preemptions,
)
from broker.scheduling.planning.rules.lengths import expect_length
from broker.scheduling.planning.rules.order import BY_SERVICE
from broker.scheduling.planning.values.answers import Preemption
from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.snapshot import Kept

# What a job's victims free is kept for it for so long after their grace: the time that it takes to start.
KEPT_AFTER = timedelta(minutes=2)


@dataclass
class Reclaiming:
    """The stops of one plan. `used` counts them by pool; whoever is to stop is no candidate again.

    Where a guarantee needs more stops than a pool has left in this hour, those that come are `saved_up` for it.
    """

    books: Books
    now: datetime
    preemptions: list[Preemption] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    saved_up: set[str] = field(default_factory=set)

    def is_possible(self, job_class: JobClass, job: WaitingJob) -> bool:
        """Tell whether others may be stopped for a job: it is within its guarantee, or its discipline says so.

        One for which others are stopping already waits for them.
        """
        if self.is_under_way(job):
            return False
        return self.is_within(job_class, job) or job_class.kind.group.key.discipline in BY_SERVICE

    def is_within(self, job_class: JobClass, job: WaitingJob) -> bool:
        """Tell whether a job is within its guarantee, beside those for whom room is made within it already."""
        return job_class.is_guaranteed(job) and any(
            self._has_left(job_class, job, each.sku) for each in job_class.contract.share.guarantees
        )

    def _has_left(self, job_class: JobClass, job: WaitingJob, sku: str) -> bool:
        beside = [each for each in self._list_kept() if each.job_id != job.job_id and self._find_sku(each) == sku]
        known = [(each, self.books.waiting.get(each.job_id)) for each in beside]
        own = job_class.contract.share.contract_id, job_class.queue.name
        claimed = sum(each.gpus for each, other in known if other and (other.contract_id, other.queue) == own)
        return job_class.contract.has_guaranteed_left(sku, job.gpus + claimed)

    def _list_kept(self) -> list[Kept]:
        """List what is kept for jobs, and what will be by this plan."""
        return [*(each for each in self.books.kept.values() if self.books.is_kept(each, self.now)), *self.kept]

    def _find_sku(self, kept: Kept) -> str | None:
        pool = self.books.pools.get(kept.pool)
        return None if pool is None else pool.state.sku

    def is_under_way(self, job: WaitingJob) -> bool:
        """Tell whether GPUs are kept for a job, or will be by this plan. What was kept for too long is no more."""
        kept = self.books.kept.get(job.job_id)
        is_kept = kept is not None and self.books.is_kept(kept, self.now)
        return is_kept or any(each.job_id == job.job_id for each in self.kept)

    def make_room(self, job_class: JobClass, job: WaitingJob) -> NodeBook | None:
        """Stop those whose lost work costs least so that a job fits on one node; None: there is no such node.

        Nobody is stopped where enough of a node are stopping anyway: that is kept for it.
        """
        found = [
            (sum(each.price for each in victims), len(victims), node.pool.state.name, node.name, node, victims)
            for node in self._list_nodes(job_class, job)
            if (victims := self._find_victims(job_class, job, node)) is not None
        ]
        choices = [choice for choice in found if choice[1] <= self._count_left(choice[2])]
        if not choices:
            self.saved_up |= {choice[2] for choice in found} if self.is_within(job_class, job) else set()
            return None
        *_rank, node, victims = min(choices, key=lambda choice: choice[:4])
        pool, grace = node.pool.state.name, node.pool.state.grace
        self.used[pool] = self.used.get(pool, 0) + len(victims)
        within = self.is_within(job_class, job)
        self.preemptions += tell_preemptions(job, victims, node.name, grace, within_guarantee=within)
        until = self.now + grace + KEPT_AFTER
        stopped = (*(each.run.job_id for each in victims), *(run.job_id for run in self._list_leaving(node)))
        self.kept.append(Kept(job.job_id, pool, node.name, job.gpus, until, stopped))
        return node

    def _list_nodes(self, job_class: JobClass, job: WaitingJob) -> Iterator[NodeBook]:
        """List the nodes on which room may be made: of the types guaranteed to the job, or of any that it accepts.

        None that has maintenance before the job would have ended: what was stopped there would be stopped in vain.
        For a guarantee, there may be room beside what is kept for others, too.
        """
        is_guaranteed = self.is_within(job_class, job)
        for pool in job_class.kind.group.pools:
            if is_guaranteed and not self._has_left(job_class, job, pool.state.sku):
                continue
            option = job.shape.find_option(pool.state.sku)
            if option is None or self._count_left(pool.state.name) <= 0:
                continue
            if not is_guaranteed and pool.state.name in self.saved_up:
                continue
            end = self.now + expect_length(option.p90_seconds)
            for node in pool.list_open():
                if node.reservations and not (is_guaranteed and all(each.is_kept for each in node.reservations)):
                    continue
                if node.node.total >= job.gpus and not node.is_maintained(end, self.now):
                    yield node

    def _find_victims(self, job_class: JobClass, job: WaitingJob, node: NodeBook) -> tuple[Candidate, ...] | None:
        """Find whom to stop on a node, besides those who are stopping; None: that frees too little.

        Where enough are free already, something else keeps the job from starting.
        """
        kept = sum(each.gpus for each in node.reservations)
        lacking = job.gpus + kept - max(node.free, 0)
        if lacking <= 0:
            return None
        need = lacking - self._count_coming(node) - sum(run.gpus for run in self._list_leaving(node))
        if need <= 0:
            return ()
        return choose_victims(self._list_candidates(job_class, job, node), need)

    def _count_left(self, pool: str) -> int:
        """Count how many runs of a pool may still be stopped in this hour, besides those of this plan."""
        return self.books.pools[pool].state.preemptions_left - self.used.get(pool, 0)

    def _count_coming(self, node: NodeBook) -> int:
        """Count the GPUs of a node that are to come free for those for whom some of it are kept."""
        ids = {each.job_id for each in node.reservations}
        going = {job_id for kept in self._list_kept() if kept.job_id in ids for job_id in kept.victims}
        return sum(gpus for _end, job_id, gpus in node.releases if job_id in going)

    def _list_leaving(self, node: NodeBook) -> list[RunningJob]:
        """List those on a node who are stopping anyway, and for nobody else; those on several nodes do not count."""
        claimed = self.books.list_stopping().union(*(kept.victims for kept in self.kept))
        known = [self.books.runs.running.get(job_id) for _end, job_id, _gpus in node.releases]
        runs = [booked.run for booked in known if booked is not None]
        return [run for run in runs if run.is_stopping and run.job_id not in claimed and len(run.places) <= 1]

    def _list_candidates(self, job_class: JobClass, job: WaitingJob, node: NodeBook) -> Iterator[Candidate]:
        stopping = self.books.list_stopping().union(each.job_id for each in self.preemptions)
        is_guaranteed = self.is_within(job_class, job)
        for _end, job_id, gpus in node.releases:
            booked = self.books.runs.running.get(job_id)
            if booked is None or booked.run.is_stopping or job_id in stopping or job_id in self.protected:
                continue
            run = booked.run
            if self.now - run.started_at < node.pool.state.least_run:
                continue
            if is_guaranteed or may_stop(run, job, job_class.kind.group.key.discipline, self.now):
                yield Candidate(run, gpus, price_lost_work(run, self.now))

    @cached_property
    def protected(self) -> set[str]:
        """The runs within a guarantee: of each contract and type the oldest, as many as the guarantee covers."""
        left: dict[tuple[str, str], int] = {
            (contract.share.contract_id, each.sku): contract.find_guaranteed(each.sku)
            for contract in self.books.shares.guaranteed
            for each in contract.share.guarantees
        }
        within: set[str] = set()
        for booked in sorted(self.books.runs.running.values(), key=lambda each: (each.run.started_at, each.run.job_id)):
            run, key = booked.run, self._find_guarantee(booked.run, left)
            if key is not None and left[key] >= run.gpus:
                left[key] -= run.gpus
                within.add(run.job_id)
        return within

    def _find_guarantee(self, run: RunningJob, left: Mapping[tuple[str, str], int]) -> tuple[str, str] | None:
        pool, queue = self.books.pools.get(run.pool), self.books.shares.find_queue(run.queue)
        if pool is None or queue is None or queue.contract_id != run.contract_id:
            return None
        key = run.contract_id, pool.state.sku
        return key if key in left else None
