"""A recorded window, replayed by the planner that plans live: as it was, or on conditions that are proposed. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from broker.scheduling.planning.books.nodes import name_node
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.rounds.round import Plan
from broker.scheduling.planning.values.answers import Preemption, Start
from broker.scheduling.planning.values.jobs import RunningJob, WaitingJob
from broker.scheduling.planning.values.pools import PoolState
from broker.scheduling.planning.values.queues import ContractShare
from broker.scheduling.planning.values.snapshot import Kept
from broker.scheduling.simulation.guarantee_watch import GuaranteeWatch
from broker.scheduling.simulation.happenings import Happening, Happenings
from broker.scheduling.simulation.offered import Offered
from broker.scheduling.simulation.played import PlayedTurn, Replayed, Stint
from broker.scheduling.simulation.queue_windows import QueueWindows
from broker.scheduling.simulation.recording import Conditions
from broker.scheduling.simulation.stop_count import StopCount, StopRules
from broker.scheduling.simulation.window import Turn, Window
from broker.scheduling.simulation.window_runs import Lengths, Progress, make_lingering, make_run

Progressed = Callable[[float], None]
# Moments between two words of progress.
TELL_EVERY = 200
# What a run that was preempted takes to go on: a process, its base model and its checkpoint.
RESTART = timedelta(seconds=30)


@dataclass(frozen=True)
class Proposal:
    """What is made of the conditions, and of each contract's share, that were recorded.

    `shares` are told first, of contracts that have none on record. `stops` bounds how many runs a pool may stop for
    others; None: as it is recorded. `change_job` is what is made of each job that comes. What is left of the GPU-hours
    of the queues that are `counted` is counted anew.
    """

    change_conditions: Callable[[Conditions], Conditions]
    change_share: Callable[[ContractShare], ContractShare]
    shares: tuple[ContractShare, ...] = ()
    stops: StopRules | None = None
    change_job: Callable[[WaitingJob], WaitingJob] = lambda job: job
    counted: frozenset[str] = frozenset()


AS_IT_WAS = Proposal(lambda conditions: conditions, lambda share: share)


def say_nothing(_share: float) -> None:
    """Tell nobody how far it is."""


def replay_window(window: Window, proposal: Proposal = AS_IT_WAS, progressed: Progressed = say_nothing) -> Replayed:
    """Replay a window; its turns come out in the order in which they were recorded to come.

    A run takes as long as it was recorded to, on another GPU type longer or shorter as its estimates are. One that was
    not recorded to its end takes its p50, or as long as it was seen where that is longer. Whom a plan stops for others
    ends within the grace, keeps its work, and waits again; as it was, recorded ends say that. `progressed` is told now
    and then which share of the window is done.
    """
    return _WindowReplay(window, proposal, progressed).run()


class _WindowReplay:
    def __init__(self, window: Window, proposal: Proposal, progressed: Progressed) -> None:
        self.window = window
        self.proposal = proposal
        self.progressed = progressed
        self.stops_runs = proposal is not AS_IT_WAS
        self.planner = Planner()
        self.pools: dict[str, PoolState] = {}
        self.lengths = Lengths(window)
        self.queues: set[str] = set()
        self.kept: tuple[Kept, ...] = ()
        self.coming = Happenings()
        self.waiting: dict[str, int] = {}
        self.running: dict[str, Progress] = {}
        self.before: dict[str, tuple[RunningJob, datetime]] = {}
        self.played = [PlayedTurn(turn, turn.came_at) for turn in window.turns]
        self.next_of = _find_next_turns(window.turns)
        self.offered = Offered(window.begins_at)
        self.watch = GuaranteeWatch()
        self.stops = StopCount(proposal.stops)
        self.windows = QueueWindows(proposal.counted)

    def run(self) -> Replayed:
        self._schedule_window()
        begins_at, ends_at = self.window.begins_at, self.window.ends_at
        moments = 0
        while (now := self.coming.find_next()) is not None and now <= ends_at:
            self._go_on(now)
            moments += 1
            if moments % TELL_EVERY == 0:
                self.progressed((now - begins_at) / (ends_at - begins_at))
        self.offered.count_to(ends_at)
        missed, before = self.watch.close(ends_at), list(self.before.values())
        return Replayed(begins_at, ends_at, self.played, before, self.offered.gpu_seconds, missed)

    def _go_on(self, now: datetime) -> None:
        """Take all that happens at a moment, and do what the plan then says."""
        for happening, of in self.coming.take(now):
            self._take(happening, of, now)
        for name in self.stops.list_changed(now):
            self.planner.change(self.stops.bound(self.pools[name]))
        for queue in self.windows.list_bounded(self._list_running(now), now) if self.windows.counted else ():
            self.planner.change(queue)
        for kept in self.kept:  # the end of the run that was lost has the planner forget it
            if kept.job_id in self.waiting:
                self.planner.change(kept)
        plan = self.planner.plan(now)
        for start in plan.starts:
            if (now, start.job_id) not in self.window.withheld:
                self._start(start, now)
        self._stop_for_others(plan, now)
        self.watch.look(now)

    def _list_running(self, now: datetime) -> list[RunningJob]:
        """List what runs, with what ran before the window began."""
        earlier = [run for run, ends_at in self.before.values() if ends_at > now]
        return [*earlier, *(progress.run for progress in self.running.values())]

    def _schedule_window(self) -> None:
        """Schedule what no plan changes: conditions, the ends of those that ran before, and who comes of himself."""
        for share in self.proposal.shares:
            self._share(share)
        for at, conditions in self.window.conditions:
            self.coming.add(at, Happening.CONDITIONS, conditions)
        for at, share in self.window.shares:
            self.coming.add(at, Happening.SHARE, self.proposal.change_share(share))
        if self.window.conditions:
            self.watch.tell_queues(self.proposal.change_conditions(self.window.conditions[0][1]).queues)
        for run, seen_to_end in self.window.running:
            ends_at = seen_to_end or max(run.p50_end, self.window.ends_at)
            self.planner.start(run)
            self.before[run.job_id] = run, ends_at
            self.watch.hold(run.contract_id, run.queue, self.lengths.find_sku(run.pool), run.gpus)
            self.coming.add(ends_at, Happening.END, (run.job_id, None))
        for at in self.window.cycles:
            self.coming.add(at, Happening.NOTHING, None)
        following = set(self.next_of.values())
        for number, turn in enumerate(self.window.turns):
            if number not in following:
                self.coming.add(turn.came_at, Happening.COME, number)

    def _take(self, happening: Happening, of: Any, now: datetime) -> None:
        match happening:
            case Happening.CONDITIONS:
                self._tell(self.proposal.change_conditions(of), now)
            case Happening.SHARE:
                self._share(of)
            case Happening.END:
                job_id, stint = of
                self._end(job_id, stint, now)
            case Happening.LEAVE:
                self._leave(of)
            case Happening.COME:
                self._come(of, now)

    def _share(self, share: ContractShare) -> None:
        self.planner.change(share)
        self.watch.tell_share(share)

    def _tell(self, conditions: Conditions, now: datetime) -> None:
        """Tell the planner of pools and queues as they are from now on."""
        pools = {pool.name: name_node(pool, 0) for pool in conditions.pools}
        for name in self.pools.keys() - pools.keys():
            self.planner.forget_pool(name)
        queues = {queue.name for queue in conditions.queues}
        for name in self.queues - queues:
            self.planner.forget_queue(name)
        for pool in pools.values():
            self.planner.change(self.stops.bound(pool))
        for queue in conditions.queues:
            self.planner.change(queue)
        self.windows.tell(conditions.queues)
        self.pools, self.queues, self.kept = pools, queues, conditions.kept
        self.offered.change(pools.values(), now)
        self.watch.tell_queues(conditions.queues)

    def _come(self, number: int, now: datetime) -> None:
        turn = self.window.turns[number]
        self.played[number].came_at = now
        self.waiting[turn.job.job_id] = number
        job = self.proposal.change_job(turn.job)
        self.planner.submit(job)
        self.watch.come(job)
        if turn.left_at is not None:
            self.coming.add(max(turn.left_at, now), Happening.LEAVE, number)

    def _leave(self, number: int) -> None:
        job_id = self.window.turns[number].job.job_id
        if self.waiting.get(job_id) == number:
            del self.waiting[job_id]
            self.planner.end(job_id)
            self.watch.leave(job_id)

    def _start(self, start: Start, now: datetime) -> None:
        number = self.waiting.pop(start.job_id)
        self.watch.leave(start.job_id)
        played, sku = self.played[number], self.pools[start.pool].sku
        done = self.lengths.find_done(played)
        restart = RESTART if played.waits_again else timedelta(0)
        length = self.lengths.find(played.turn, sku)
        stint = Stint(start.pool, sku, now, now + length * (1 - done) + restart, restart)
        played.stints.append(stint)
        played.waits_again = False
        run = make_run(played.turn, start, sku, now, done)
        self.planner.start(run)
        self.running[start.job_id] = Progress(number, run)
        self.watch.hold(run.contract_id, run.queue, sku, run.gpus)
        self.coming.add(stint.ended_at, Happening.END, (start.job_id, stint))

    def _end(self, job_id: str, stint: Stint | None, now: datetime) -> None:
        """End a run, unless it was stopped before; whoever is to follow it comes after a while."""
        progress = self.running.get(job_id)
        if stint is None:
            self._let_go_of_earlier(job_id)
        elif progress is not None and self.played[progress.number].stints[-1] is stint and stint.ended_at == now:
            del self.running[job_id]
            self.planner.end(job_id)
            self.windows.note(progress.run, now)
            self._let_go(progress.run, stint.sku)
            if progress.stopped:
                self._wait_again(progress.number)
            else:
                self._follow(progress, stint, now)

    def _let_go_of_earlier(self, job_id: str) -> None:
        """End what ran when the window began, or what lingers of a run that has ended."""
        self.planner.end(job_id)
        if job_id in self.before:
            run, ends_at = self.before[job_id]
            self.windows.note(run, ends_at)
            self._let_go(run, self.lengths.find_sku(run.pool))

    def _let_go(self, run: RunningJob, sku: str) -> None:
        self.watch.hold(run.contract_id, run.queue, sku, -run.gpus)

    def _follow(self, progress: Progress, stint: Stint, now: datetime) -> None:
        """Have what lingers of a run hold its GPUs for as long as it did, and its job come back if it did."""
        turn = self.window.turns[progress.number]
        if turn.lingering is not None and turn.lingered is not None:
            lingering = make_lingering(turn.lingering, progress.run)
            self.planner.start(lingering)
            self.coming.add(now + turn.lingered, Happening.END, (lingering.job_id, None))
        following = self.next_of.get(progress.number)
        if following is not None:
            after = self.window.turns[following].returned_after or timedelta(0)
            self.coming.add(stint.ended_at + after, Happening.COME, following)

    def _stop_for_others(self, plan: Plan, now: datetime) -> None:
        for preemption in plan.preemptions:
            self._stop(preemption, now)
        for kept in plan.kept if self.stops_runs else ():  # as it was, it is on record
            self.planner.change(kept)

    def _stop(self, preemption: Preemption, now: datetime) -> None:
        """Have a run save and end within its grace; what is recorded to end sooner ends as it did."""
        progress = self.running.get(preemption.job_id)
        if progress is None:
            return
        stint = self.played[progress.number].stints[-1]
        saved_at = now + timedelta(seconds=preemption.grace_seconds)
        progress.run = replace(progress.run, is_stopping=True)
        self.planner.start(progress.run)
        if self.stops_runs and saved_at < stint.ended_at:
            progress.stopped = True
            self.stops.count(preemption.pool, now)
            stint.ended_at = saved_at
            self.coming.add(saved_at, Happening.END, (preemption.job_id, stint))

    def _wait_again(self, number: int) -> None:
        """Have a job that was stopped wait again, at its age, for what is left of its work."""
        played = self.played[number]
        played.waits_again = True
        job = self.proposal.change_job(self.lengths.make_rest(played))
        self.waiting[job.job_id] = number
        self.planner.submit(job)
        self.watch.come(job)


def _find_next_turns(turns: Sequence[Turn]) -> dict[int, int]:
    """Find, for each turn that ran, the next one of the same job."""
    latest: dict[str, int] = {}
    following: dict[int, int] = {}
    for number, turn in enumerate(turns):
        before = latest.get(turn.job.job_id)
        if before is not None and turns[before].ended_at is not None:
            following[before] = number
        latest[turn.job.job_id] = number
    return following
