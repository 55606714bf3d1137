"""One plan: who starts, who is to have GPUs next, and who fills the time until then.

The first job that must wait gets a reservation where its GPUs are free earliest, by what runs at its p90 (EASY). Those
behind it may start beside it, or before it where they are expected (p50) to have ended by then. Each of the first few
jobs of a guarantee has a reservation of its own. Up to a job that has waited as long as its queue allows, only those
fill the time that end by then at their p90; up to one that lost its machine, nobody does. (Nobody for the former, too,
was tried: where many have waited too long, each empties the cluster before it starts, and the line grows longer still.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from broker.scheduling.planning.books.books import Books
from broker.scheduling.planning.books.classes import Group, JobClass, Kind
from broker.scheduling.planning.books.nodes import Filling, PoolBook
from broker.scheduling.planning.rounds.lending import Lending
from broker.scheduling.planning.rounds.limits import Limit, count_gpu_seconds, find_limit
from broker.scheduling.planning.rounds.placing import Placement, choose_place
from broker.scheduling.planning.rounds.reclaim import Reclaiming
from broker.scheduling.planning.rounds.reservations import Reservations, Reserved, use_reservations
from broker.scheduling.planning.rules.lengths import expect_length
from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, OVERDUE, Key
from broker.scheduling.planning.values.answers import Preemption, ReasonCode, Start
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.planning.values.snapshot import Kept

# So many jobs of a guarantee have a reservation each.
MOST_RESERVATIONS = 8
FILLING_OF_TIER = {EXPEDITED: Filling.NOBODY, OVERDUE: Filling.SURE}


# whose turn: by key, then discipline, then entry
Entry = tuple[Key, Discipline, int, Group | Kind]


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
    limited: dict[JobClass, Limit] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    heads: list[str] = field(default_factory=list)
    causes: dict[str, ReasonCode] = field(default_factory=dict)
    lined_up: int = 0

    def __post_init__(self) -> None:
        self.lending = Lending(self.books)
        self.reservations = Reservations(self.books, self.now, self.lending)
        self.reclaiming = Reclaiming(self.books, self.now)

    def run(self) -> Plan:
        """Plan, and leave the books as they were."""
        self.reservations.keep()
        self.lending.measure()
        self._go_through_line()
        plan = Plan(
            now=self.now,
            starts=tuple(_tell_start(each) for each in self.taken),
            reserved=self.reservations.tell(),
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
        for group in self.books.homes.groups.values():
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
        placement = choose_place(job, job_class.kind.group.pools, self.now, self.lending.find_lendable(job_class, job))
        if placement is None:
            self._block(job_class, job, tier)
            return False
        self._take(job_class, job, placement)
        return True

    def _take(self, job_class: JobClass, job: WaitingJob, placement: Placement) -> None:
        contract, sku = job_class.contract, placement.pool.state.sku
        borrowed = not (job_class.is_dedicated and contract.has_guaranteed_left(sku, job.gpus))
        for place in placement.places:
            use_reservations(placement.pool.nodes[place.node], job, placement)
        placement.pool.occupy(job.job_id, placement.places, placement.p90_end)
        job_class.count(placement.pool.state.sku, job.gpus, 1)
        job_class.queue.gpu_seconds += count_gpu_seconds(job)
        del self.books.waiting[job.job_id]
        self.taken.append(Taken(job, job_class, placement, borrowed))
        if self.lending.lendable:
            self.lending.measure()

    def _undo(self) -> None:
        """Put back what was taken, and have all that was looked at ranked anew."""
        for each in reversed(self.taken):
            each.placement.pool.vacate(each.job.job_id, each.placement.places, each.placement.p90_end)
            each.job_class.count(each.placement.pool.state.sku, -each.job.gpus, -1)
            each.job_class.queue.gpu_seconds -= count_gpu_seconds(each.job)
            self.books.waiting[each.job.job_id] = each.job
            self.books.homes.restore(each.job)
        for job_class in self.limited:
            job_class.is_passed_over = False
            self.books.homes.moved.add(job_class)
        self.reservations.undo()

    def _block(self, job_class: JobClass, job: WaitingJob, tier: int) -> None:
        """Reserve for a job that must wait, if it is the first for a pool, or has a guarantee."""
        pools = job_class.kind.group.pools
        names = {pool.state.name for pool in pools}
        self._make_room(job_class, job)
        if tier == GUARANTEED:
            for other_class, other in job_class.kind.group.list_dedicated(MOST_RESERVATIONS):
                self._make_room(other_class, other)
        cause = self._find_cause(job_class, job)
        if cause is not None:
            self.causes[job.job_id] = cause
        lendable = self.lending.find_lendable(job_class, job)
        if tier == GUARANTEED:
            for each in job_class.list_first(MOST_RESERVATIONS):
                self.reservations.reserve(each, pools, lendable, Filling.EXPECTED)
        elif not names <= self.blocked:
            self.heads.append(job.job_id)
            self.reservations.reserve(job, pools, lendable, FILLING_OF_TIER.get(tier, Filling.EXPECTED))
        self.blocked |= names

    def _make_room(self, job_class: JobClass, job: WaitingJob) -> None:
        """Stop others for a job, where they may be stopped, and keep for it what they free."""
        if self.reclaiming.is_possible(job_class, job):
            room = self.reclaiming.make_room(job_class, job)
            if room is not None:
                self.reservations.keep_for(job.job_id, room, job.gpus)
        if not job.expedited and self.reclaiming.is_under_way(job):
            self.causes[job.job_id] = ReasonCode.MAKING_ROOM

    def _find_cause(self, job_class: JobClass, job: WaitingJob) -> ReasonCode | None:
        """Find what keeps a job besides those who run: stops under way, what guarantees lack or keep, maintenance."""
        pools = job_class.kind.group.pools
        if not job.expedited and self.reclaiming.is_under_way(job):
            return ReasonCode.MAKING_ROOM
        if job_class.lacks_promised(job):
            return ReasonCode.GUARANTEE_SHORT
        if self.lending.lendable and choose_place(job, pools, self.now, {}) is not None:
            return ReasonCode.GUARANTEED_TO_OTHERS
        return ReasonCode.MAINTENANCE if any(self._is_maintained(job, pool) for pool in pools) else None

    def _is_maintained(self, job: WaitingJob, pool: PoolBook) -> bool:
        option = job.shape.find_option(pool.state.sku)
        if option is None or not pool.has_windows:
            return False
        end = self.now + expect_length(option.p90_seconds)
        return any(node.free >= job.gpus and node.is_maintained(end, self.now) for node in pool.list_open())


def _tell_start(taken: Taken) -> Start:
    placement = taken.placement
    gpus = sum(place.gpus for place in placement.places)
    return Start(taken.job.job_id, placement.pool.state.name, gpus, placement.places, taken.borrowed)
