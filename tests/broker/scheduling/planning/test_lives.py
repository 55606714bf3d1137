"""Whole lives of jobs on the very planner: random loads with a guarantee; what must hold until all have ended.

The seed of a load is told; equal seeds give equal lives.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, note
from hypothesis import strategies as st

from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.rounds.round import Plan
from broker.scheduling.planning.values.answers import Preemption, Start
from broker.scheduling.planning.values.jobs import Place, RunningJob, Shape, WaitingJob
from broker.scheduling.planning.values.pools import Discipline, Node, PoolState
from broker.scheduling.planning.values.queues import ContractShare, Guarantee, QueueState
from tests.broker.scheduling.planning.worlds import BEGAN
from tests.properties import examples

NODES, NODE_GPUS, GUARANTEED = 3, 4, 4
LEAST_RUN, GRACE = timedelta(minutes=10), timedelta(seconds=60)
TICK = timedelta(seconds=30)
MOST_TICKS = 4000
QUEUES = (
    QueueState("standard", 100, max_wait=timedelta(hours=4)),
    QueueState("priority", 200, max_wait=timedelta(hours=4)),
    QueueState("dedicated:con_a", 300, contract_id="con_a"),
)
SHARE = ContractShare("con_a", guarantees=(Guarantee("a100", GUARANTEED),))
PROPERTY = examples(15)
FEW = examples(5)
SEEDS = st.integers(0, 2**32)


@dataclass
class Life:
    """A job as it really is: `left` of its work, which nobody knows; when it was stopped, and how often."""

    job: WaitingJob
    left: timedelta
    stopped: int = 0
    began: datetime | None = None
    places: tuple[Place, ...] = ()
    stops_at: datetime | None = None


@dataclass
class Cluster:
    """A cluster that follows the plans tick by tick; what runs is checkpointed when it is stopped.

    Who is stopped takes up to `slowest` to save.
    """

    seed: int
    discipline: Discipline = Discipline.FAIR
    slowest: timedelta = GRACE
    planner: Planner = field(default_factory=Planner)
    lives: dict[str, Life] = field(default_factory=dict)
    now: datetime = BEGAN
    due_since: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pick = pick = random.Random(self.seed)
        nodes = tuple(Node(f"n{number}", NODE_GPUS) for number in range(NODES))
        total = NODES * NODE_GPUS
        pool = PoolState("one", "a100", total, total, nodes=nodes, preemptions_left=99, least_run=LEAST_RUN)
        pool = replace(pool, discipline=self.discipline)
        for told in (pool, *QUEUES, SHARE):
            self.planner.change(told)
        self.arrivals = sorted((self._make_life(pick, number) for number in range(30)), key=_by_arrival)

    def _make_life(self, pick: random.Random, number: int) -> Life:
        queue = pick.choices([queue.name for queue in QUEUES], (4, 2, 2))[0]
        contract = "con_a" if queue == QUEUES[2].name else pick.choice(("con_b", "con_c"))
        gpus = pick.choice((1, 1, 2)) if contract == "con_a" else pick.choice((1, 1, 2, 4))
        seconds = pick.choice((300, 1800, 7200))
        shape = Shape.of_any_type(gpus, seconds, 2 * seconds)
        at = BEGAN + timedelta(seconds=pick.randrange(4 * 3600))
        really = timedelta(seconds=round(seconds * pick.choice((0.2, 1, 1, 3))))
        return Life(WaitingJob(f"job_{number:02}", contract, queue, shape, at), really)

    def live(self) -> None:
        """Go on until all have ended."""
        for _tick in range(MOST_TICKS):
            self._end_and_stop()
            while self.arrivals and self.arrivals[0].job.submitted_at <= self.now:
                life = self.arrivals.pop(0)
                self.lives[life.job.job_id] = life
                self.planner.submit(life.job)
            self._follow(self.planner.plan(self.now))
            if not self.lives and not self.arrivals:
                return
            self.now += TICK
        raise AssertionError(f"{sorted(self.lives)} never end")

    def _end_and_stop(self) -> None:
        for life in sorted(self.lives.values(), key=_by_arrival):
            if life.began is None:
                continue
            if self.now - life.began >= life.left:
                self.planner.end(life.job.job_id)
                del self.lives[life.job.job_id]
            elif life.stops_at is not None and life.stops_at <= self.now:
                self._requeue(life)

    def _requeue(self, life: Life) -> None:
        assert life.began is not None
        ran = self.now - life.began
        life.left, life.began, life.stops_at, life.stopped = life.left - ran, None, None, life.stopped + 1
        done = life.job.seconds_done + int(ran.total_seconds())
        left = max(60, life.job.shape.p50_seconds - int(ran.total_seconds()))
        life.job = replace(life.job, seconds_done=done, shape=Shape.of_any_type(life.job.gpus, left, 2 * left))
        self.planner.end(life.job.job_id)
        self.planner.submit(life.job)

    def _follow(self, plan: Plan) -> None:
        for start in plan.starts:
            self._start(start)
        for preemption in plan.preemptions:
            self._stop(preemption)
        for kept in plan.kept:
            self.planner.change(kept)
        self._check()

    def _start(self, start: Start) -> None:
        life = self.lives[start.job_id]
        life.began, life.places = self.now, start.places
        option = life.job.shape.options[0]
        ends = [self.now + timedelta(seconds=seconds) for seconds in (option.p50_seconds, option.p90_seconds)]
        job = life.job
        run = RunningJob(job.job_id, job.contract_id, "one", job.gpus, self.now, *ends, job.queue, start.places)
        known = {"submitted_at": job.submitted_at, "seconds_done": job.seconds_done}
        self.planner.start(replace(run, rate_micros=1, **known))

    def _stop(self, preemption: Preemption) -> None:
        life = self.lives[preemption.job_id]
        assert life.began is not None
        assert self.now - life.began >= LEAST_RUN, "it runs for its least time"
        assert life.stops_at is None, "it is told once"
        life.stops_at = self.now + self.pick.uniform(0.1, 1) * self.slowest

    def _check(self) -> None:
        """Check what holds at every moment: no GPU given twice, no guarantee late, nobody waits for an idle cluster."""
        running = [life for life in self.lives.values() if life.began is not None]
        waiting = [life for life in self.lives.values() if life.began is None]
        taken = Counter[str]()
        for life in running:
            taken.update({place.node: place.gpus for place in life.places})
        assert all(gpus <= NODE_GPUS for gpus in taken.values()), "no GPU is given twice"
        assert running or not waiting, "what waits for nobody starts"
        own = sum(life.job.gpus for life in running if life.job.contract_id == "con_a")
        due = _list_due(waiting, GUARANTEED - own)
        ids = {life.job.job_id for life in due}
        self.due_since = {job_id: self.due_since.get(job_id, self.now) for job_id in ids}
        for life in due:
            late = self.now - self.due_since[life.job.job_id]
            most = LEAST_RUN + self.slowest + 2 * TICK
            assert late <= most, "a guarantee is kept within the least run and the time to save"


def _list_due(waiting: list[Life], left: int) -> list[Life]:
    """List who is due of a guarantee of which so much is left: the first, and those behind it that fit beside it."""
    due = []
    for life in sorted((life for life in waiting if life.job.contract_id == "con_a"), key=_by_arrival):
        if life.job.gpus <= left:
            left -= life.job.gpus
            due.append(life)
    return due


def _by_arrival(life: Life) -> tuple[datetime, str]:
    return life.job.submitted_at, life.job.job_id


@PROPERTY
@given(SEEDS)
def test_all_jobs_end_no_guarantee_is_late_and_nobody_is_stopped_again_and_again(seed: int) -> None:
    note(f"seed {seed}")
    cluster = Cluster(seed)
    lives = list(cluster.arrivals)
    cluster.live()
    assert max(life.stopped for life in lives) <= 8


@FEW
@given(SEEDS)
def test_who_takes_long_to_save_is_told_once_and_the_guarantee_waits_for_nobody_else(seed: int) -> None:
    note(f"seed {seed}")
    cluster = Cluster(seed, slowest=timedelta(minutes=15))
    lives = list(cluster.arrivals)
    cluster.live()
    assert max(life.stopped for life in lives) <= 8


@FEW
@given(SEEDS, st.sampled_from((Discipline.SHORTEST_REMAINING, Discipline.LEAST_ATTAINED)))
def test_disciplines_that_stop_others_keep_guarantees_and_let_everybody_end(seed: int, discipline: Discipline) -> None:
    note(f"seed {seed}")
    cluster = Cluster(seed, discipline)
    lives = list(cluster.arrivals)
    cluster.live()
    assert max(life.stopped for life in lives) <= 20, "nobody is stopped again and again"
