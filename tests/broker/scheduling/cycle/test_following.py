"""The planner that is kept from cycle to cycle plans what one told everything at once plans, whatever happened."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, note
from hypothesis import strategies as st

from broker.scheduling.cycle.following import FollowingPlanner
from broker.scheduling.planning.planner import Planner
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import ClusterSnapshot, Kept
from broker.scheduling.planning.waits.line import list_waits
from tests.broker.scheduling.planning.worlds import World
from tests.properties import examples


@examples(25)
@given(st.integers(0, 2**32))
def test_a_planner_that_follows_plans_as_one_that_is_told_at_once(seed: int) -> None:
    note(f"seed {seed}")
    world = World(seed)
    following, before = FollowingPlanner(), dict[str, WaitingJob]()
    for _cycle in range(12):
        for _step in range(world.random.randint(1, 6)):
            world.step()
        snapshot = replace(world.snapshot(), kept=keep_some(world))
        following.follow(replace(snapshot, waiting=()), list_changed(before, world))
        before = dict(world.waiting)
        assert following.waiting == before
        anew = Planner.of(snapshot)
        plan = following.planner.plan(world.now)
        assert plan == anew.plan(world.now)
        assert list_waits(following.planner, plan) == list_waits(anew, anew.plan(world.now))
        for start in plan.starts:
            if world.random.random() < 0.8:
                world.apply(start)


def list_changed(before: dict[str, WaitingJob], world: World) -> dict[str, WaitingJob | None]:
    """List what is read of the line: what changed, and some of what did not once more."""
    gone = dict.fromkeys(before.keys() - world.waiting.keys())
    again = {job_id: job for job_id, job in world.waiting.items() if world.random.random() < 0.1}
    return {**gone, **again, **{name: job for name, job in world.waiting.items() if before.get(name) != job}}


def keep_some(world: World) -> tuple[Kept, ...]:
    """Keep GPUs for one of those who wait, now and then."""
    if not world.waiting or world.random.random() < 0.5:
        return ()
    job_id = world.random.choice(sorted(world.waiting))
    return (Kept(job_id, "one", "one0", 1, world.now + timedelta(minutes=1)),)


def test_a_job_whose_run_ended_waits_again() -> None:
    world = World(7)
    world.submit()
    (job,) = world.waiting.values()
    following = FollowingPlanner()
    following.follow(replace(world.snapshot(), waiting=()), {job.job_id: job})
    for start in following.planner.plan(world.now).starts:
        world.apply(start)
    running = world.snapshot()
    following.follow(running, {job.job_id: None})
    assert following.waiting == {}
    following.follow(replace(running, running=()), {job.job_id: job})
    assert following.planner.plan(world.now) == Planner.of(
        ClusterSnapshot(running.pools, running.queues, (job,), (), running.shares)
    ).plan(world.now)
