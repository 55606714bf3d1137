"""One plan: who starts, who is to have GPUs next, and who fills the time until then.

The first job that must wait gets a reservation where its GPUs are free earliest, by what runs at its p90 (EASY). Those
behind it may start beside it, or before it where they are expected (p50) to have ended by then. Each of the first few
jobs of a guarantee has a reservation of its own. Up to a job that has waited as long as its queue allows, only those
fill the time that end by then at their p90; up to one that lost its machine, nobody does. (Nobody for the former, too,
was tried: where many have waited too long, each empties the cluster before it starts, and the line grows longer still.)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from heapq import heappop, heappush, nsmallest
from operator import itemgetter
from typing import Protocol

from broker.scheduling.planning.books.classes import Group, GroupKey, JobClass, Kind
from broker.scheduling.planning.books.nodes import Filling, NodeBook, PoolBook, Reservation
from broker.scheduling.planning.books.shares import ContractBook
from broker.scheduling.planning.rounds.placing import Placement, choose_place
from broker.scheduling.planning.rounds.reclaim import Reclaiming, RunBook
from broker.scheduling.planning.rules.lengths import expect_length
from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, OVERDUE, Key
from broker.scheduling.planning.values.answers import Preemption, ReasonCode, Start
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.planning.values.queues import NO_LIMITS, QueueState
from broker.scheduling.planning.values.snapshot import Kept

FILLING_OF_TIER = {EXPEDITED: Filling.NOBODY, OVERDUE: Filling.SURE}
# So many jobs of a guarantee have a reservation each.
MOST_RESERVATIONS = 8


# when, on which node by its name, with how many GPUs free then
Time = tuple[datetime, str, NodeBook, int]
# whose turn: by key, then discipline, then entry
Entry = tuple[Key, Discipline, int, Group | Kind]


class Limit(StrEnum):
    """Which limit keeps a class from starting more."""

    QUEUE_JOBS = "queue_jobs"
    QUEUE_GPUS = "queue_gpus"
    QUEUE_HOURS = "queue_hours"
    QUOTA = "quota"


@dataclass(frozen=True)
class Reserved:
    """What a waiting job is to have, and when; None: nobody is known to free it. Units: whole GPUs."""

    job_id: str
    pool: str
    node: str
    gpus: int
    at: datetime | None


@dataclass(frozen=True)
class Plan:
    """Who starts, who has which reservation, and whom a limit keeps; `free` GPUs are left of each pool after that.

    `heads` are the first that must wait for some pool. Those in `preemptions` are to be stopped; what is `kept` must be
    told to the planner with them, and is nobody else's until the last of them has gone. `causes` has, by job, what
    keeps it besides those who run.
    """

    now: datetime
    starts: tuple[Start, ...]
    reserved: tuple[Reserved, ...]
    heads: tuple[str, ...]
    free: Mapping[str, int]
    preemptions: tuple[Preemption, ...] = ()
    kept: tuple[Kept, ...] = ()
    limited: Mapping[JobClass, Limit] = field(default_factory=dict, compare=False)
    causes: Mapping[str, ReasonCode] = field(default_factory=dict)


class Books(Protocol):
    """What a round plans on: the planner's books, which it changes while it plans, and leaves as they were."""

    waiting: dict[str, WaitingJob]
    pools: dict[str, PoolBook]
    groups: dict[GroupKey, Group]
    kept: dict[str, Kept]
    guaranteed: set[ContractBook]
    running: dict[str, RunBook]

    def find_queue(self, name: str) -> QueueState | None: ...

    def restore(self, job: WaitingJob) -> None: ...

    def move(self, job_class: JobClass) -> None: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A start under way."""

    job: WaitingJob
    job_class: JobClass
    placement: Placement
    borrowed: bool


@dataclass
class Round:
    """A plan under way. `blocked`: pools for which a job waits that comes before all that are still to be looked at."""

    books: Books
    now: datetime
    taken: list[Taken] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    limited: dict[JobClass, Limit] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    lendable: dict[str, int] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    causes: dict[str, ReasonCode] = field(default_factory=dict)
    lined_up: int = 0

    def __post_init__(self) -> None:
        self.reclaiming = Reclaiming(self.books, self.now)

    def run(self) -> Plan:
        """Plan, and leave the books as they were."""
        self._keep()
        self._measure_lendable()
        self._go_through_line()
        plan = Plan(
            now=self.now,
            starts=tuple(_tell_start(each) for each in self.taken),
            reserved=tuple(_tell_reservation(each) for each in self.reservations if each.job_id in self.books.waiting),
            heads=tuple(self.heads),
            preemptions=tuple(self.reclaiming.preemptions),
            kept=tuple(self.reclaiming.kept),
            limited=self.limited,
            causes=self.causes,
            free={name: pool.free for name, pool in self.books.pools.items()},
        )
        self._undo()
        return plan

    def _go_through_line(self) -> None:
        """Give each its turn. What stands in the line is a group, or a kind of a group that is blocked."""
        line: list[Entry] = []
        for group in self.books.groups.values():
            if group.pools:
                self._line_up(line, group)
        while line:
            key, _discipline, _number, member = heappop(line)
            first = member.find_first()
            if first is None:
                continue
            if first[0] != key or self._take_turn(first[1], key[0]):
                self._line_up(line, member)
            elif isinstance(member, Group) and any(pool.may_fit(member.key.gpus) for pool in member.pools):
                for kind in member.kinds.values():
                    if kind is not first[1].kind:
                        self._line_up(line, kind)

    def _line_up(self, line: list[Entry], member: Group | Kind) -> None:
        """Have a group or kind stand where its first job does; one job may stand in a group of each discipline."""
        first = member.find_first()
        if first is not None:
            self.lined_up += 1
            heappush(line, (first[0], member.discipline, self.lined_up, member))

    def _take_turn(self, job_class: JobClass, tier: int) -> bool:
        """Start the first job of a class, or note why not; tells whether others of its kind may still start."""
        job = job_class.find_head()
        assert job is not None, "a class that has a turn has a job"
        limit = find_limit(job_class, job)
        if limit is not None:
            self.limited[job_class] = limit
            job_class.is_passed_over = True
            return True
        placement = choose_place(job, job_class.kind.group.pools, self.now, self._find_lendable(job_class, job))
        if placement is None:
            self._block(job_class, job, tier)
            return False
        self._take(job_class, job, placement)
        return True

    def _take(self, job_class: JobClass, job: WaitingJob, placement: Placement) -> None:
        contract, sku = job_class.contract, placement.pool.state.sku
        borrowed = not (job_class.is_dedicated and contract.has_guaranteed_left(sku, job.gpus))
        for place in placement.places:
            _use_reservations(placement.pool.nodes[place.node], job, placement)
        placement.pool.occupy(job.job_id, placement.places, placement.p90_end)
        job_class.count(placement.pool.state.sku, job.gpus, 1)
        del self.books.waiting[job.job_id]
        self.taken.append(Taken(job, job_class, placement, borrowed))
        if self.lendable:
            self._measure_lendable()

    def _undo(self) -> None:
        """Put back what was taken, and have all that was looked at ranked anew."""
        for each in reversed(self.taken):
            each.placement.pool.vacate(each.job.job_id, each.placement.places, each.placement.p90_end)
            each.job_class.count(each.placement.pool.state.sku, -each.job.gpus, -1)
            self.books.waiting[each.job.job_id] = each.job
            self.books.restore(each.job)
        for job_class in self.limited:
            job_class.is_passed_over = False
            self.books.move(job_class)
        for reservation in self.reservations:
            reservation.node.reservations.clear()

    def _block(self, job_class: JobClass, job: WaitingJob, tier: int) -> None:
        """Reserve for a job that must wait, if it is the first for a pool, or has a guarantee."""
        pools = job_class.kind.group.pools
        names = {pool.state.name for pool in pools}
        if self.reclaiming.is_possible(job_class, job):
            room = self.reclaiming.make_room(job_class, job)
            if room is not None:
                self._enter(Reservation(job.job_id, room, self.now, job.gpus, spare=0, filling=Filling.NOBODY))
        cause = self._find_cause(job, pools)
        if cause is not None:
            self.causes[job.job_id] = cause
        if tier == GUARANTEED:
            for each in job_class.list_first(MOST_RESERVATIONS):
                self._reserve(each, pools, Filling.EXPECTED)
        elif not names <= self.blocked:
            self.heads.append(job.job_id)
            self._reserve(job, pools, FILLING_OF_TIER.get(tier, Filling.EXPECTED))
        self.blocked |= names

    def _find_cause(self, job: WaitingJob, pools: Iterable[PoolBook]) -> ReasonCode | None:
        """Find what keeps a job besides those who run: stops that are under way, a guarantee of others, maintenance."""
        if job.job_id in self.books.kept or any(each.job_id == job.job_id for each in self.reclaiming.kept):
            return ReasonCode.MAKING_ROOM
        if self.lendable and choose_place(job, pools, self.now, {}) is not None:
            return ReasonCode.GUARANTEED_TO_OTHERS
        return ReasonCode.MAINTENANCE if any(self._is_maintained(job, pool) for pool in pools) else None

    def _is_maintained(self, job: WaitingJob, pool: PoolBook) -> bool:
        option = job.shape.find_option(pool.state.sku)
        if option is None or not pool.has_windows:
            return False
        end = self.now + expect_length(option.p90_seconds)
        return any(node.free >= job.gpus and node.is_maintained(end, self.now) for node in pool.list_open())

    def _reserve(self, job: WaitingJob, pools: Iterable[PoolBook], filling: Filling) -> None:
        """Reserve GPUs for a job where they are free earliest, on nodes that nobody else has a reservation on."""
        if any(each.job_id == job.job_id for each in self.reservations):
            return
        chosen = min((times for pool in pools if (times := self._find_times(job, pool))), key=_rank_times, default=[])
        if not chosen:
            self._block_freest(job, pools)
        for _at, _name, node, free in chosen:
            gpus = min(job.gpus, node.node.total)
            self._enter(Reservation(job.job_id, node, chosen[-1][0], gpus, free - gpus, filling))

    def _block_freest(self, job: WaitingJob, pools: Iterable[PoolBook]) -> None:
        """Hold what is free for a job whose GPUs nobody is known to free, on the node that lacks the fewest."""
        nodes = [
            node
            for pool in pools
            for node in pool.list_open()
            if node.node.total >= min(job.gpus, pool.largest) and not node.reservations
        ]
        freest = min(nodes, key=lambda node: (-node.free, node.pool.state.name, node.name), default=None)
        if freest is not None:
            self._enter(Reservation(job.job_id, freest, None, job.gpus, spare=0, filling=Filling.NOBODY))

    def _find_times(self, job: WaitingJob, pool: PoolBook) -> list[Time]:
        """Find when which nodes of a pool have the GPUs that a job needs: one node, or as many whole ones as it takes.

        Empty: never, as far as is known.
        """
        option = job.shape.find_option(pool.state.sku)
        if option is None:
            return []
        length, gpus, count = expect_length(option.p90_seconds), min(job.gpus, pool.largest), pool.count_nodes(job.gpus)
        times = [
            (found[0], node.name, node, found[1])
            for node in pool.list_open()
            if node.node.total >= gpus
            and not node.reservations
            and (found := node.find_time(gpus, length, self.now)) is not None
        ]
        return nsmallest(count, times, key=itemgetter(0, 1)) if len(times) >= count else []

    def _enter(self, reservation: Reservation) -> None:
        reservation.node.reservations.append(reservation)
        self.reservations.append(reservation)

    def _keep(self) -> None:
        """Reserve what is kept for a job, until it starts or its time is over."""
        for kept in sorted(self.books.kept.values(), key=lambda kept: kept.job_id):
            pool = self.books.pools.get(kept.pool)
            node = None if pool is None else pool.nodes.get(kept.node)
            if node is not None and kept.until > self.now and kept.job_id in self.books.waiting:
                spare = max(0, node.free - kept.gpus)
                self._enter(Reservation(kept.job_id, node, self.now, kept.gpus, spare, filling=Filling.NOBODY))

    def _measure_lendable(self) -> None:
        """Measure, for each type that somebody has a guarantee of, how many free GPUs others may take."""
        withheld: dict[str, int] = {}
        for contract in self.books.guaranteed:
            for each in contract.share.guarantees:
                idle = max(0, each.gpus - contract.dedicated.get(each.sku, 0))
                withheld[each.sku] = withheld.get(each.sku, 0) + idle * (100 - each.lent_percent) // 100
        self.lendable = {
            sku: sum(pool.free for pool in self.books.pools.values() if pool.state.sku == sku) - gpus
            for sku, gpus in withheld.items()
        }

    def _find_lendable(self, job_class: JobClass, job: WaitingJob) -> Mapping[str, int]:
        """Find what a job may take of the types that are guaranteed to somebody; its own guarantee binds it not."""
        if not self.lendable or not job_class.is_dedicated:
            return self.lendable
        contract = job_class.contract
        return {sku: left for sku, left in self.lendable.items() if not contract.has_guaranteed_left(sku, job.gpus)}


def find_limit(job_class: JobClass, job: WaitingJob) -> Limit | None:
    """Find the limit of its queue, or the quota of its contract, that a job would pass if it started."""
    queue, contract = job_class.queue, job_class.contract
    limits = NO_LIMITS if queue.state is None else queue.state.limits
    quota = contract.share.most_gpus
    if limits.jobs is not None and queue.jobs >= limits.jobs:
        return Limit.QUEUE_JOBS
    if limits.gpus is not None and queue.gpus + job.gpus > limits.gpus:
        return Limit.QUEUE_GPUS
    if limits.gpu_seconds_left is not None and limits.gpu_seconds_left <= 0:
        return Limit.QUEUE_HOURS
    if quota is not None and contract.held + job.gpus > quota:
        return Limit.QUOTA
    return None


def _rank_times(times: list[Time]) -> tuple[datetime, str]:
    return times[-1][0], times[0][2].pool.state.name


def _use_reservations(node: NodeBook, job: WaitingJob, placement: Placement) -> None:
    """Note what a job takes of what reservations of others leave beside them; its own is used up."""
    node.reservations[:] = [each for each in node.reservations if each.job_id != job.job_id]
    for each in node.reservations:
        if not each.is_filled_by(placement.p50_end, placement.p90_end):
            each.spare -= job.gpus


def _tell_start(taken: Taken) -> Start:
    placement = taken.placement
    gpus = sum(place.gpus for place in placement.places)
    return Start(taken.job.job_id, placement.pool.state.name, gpus, placement.places, taken.borrowed)


def _tell_reservation(reservation: Reservation) -> Reserved:
    node = reservation.node
    return Reserved(reservation.job_id, node.pool.state.name, node.name, reservation.gpus, reservation.at)
