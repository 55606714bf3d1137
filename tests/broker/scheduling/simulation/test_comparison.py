from datetime import UTC, datetime, timedelta

from broker.scheduling.planning.values.jobs import Shape, TypeOption, WaitingJob
from broker.scheduling.simulation.comparison import GroupMeasures, compare_replays
from broker.scheduling.simulation.window import Turn
from broker.scheduling.simulation.window_replay import PlayedTurn

BEGAN = datetime(2026, 11, 29, tzinfo=UTC)
UNTIL = BEGAN + timedelta(seconds=1000)


def moment(seconds):
    return None if seconds is None else BEGAN + timedelta(seconds=seconds)


def played(job_id, *, came=0, start=None, end=None, contract="con_a", due=None):
    shape = Shape(2, (TypeOption(None, 100, 100),), finish_by=moment(due))
    job = WaitingJob(job_id, contract, "standard", shape, moment(came))
    return PlayedTurn(Turn(job, moment(came)), moment(came), moment(start), moment(end), "one")


def test_groups_are_measured_by_contract_and_queue():
    today = [played("a", start=0, end=100, due=90), played("b", came=10, start=110, end=160), played("c", due=900)]
    (group,) = compare_replays(today, today, UNTIL).groups
    assert (group.contract_id, group.queue) == ("con_a", "standard")
    assert (
        group.today
        == group.proposed
        == GroupMeasures(
            started=2,
            still_waiting=1,
            avg_wait_s=50,
            p90_wait_s=100,
            avg_bounded_slowdown=2,
            gpu_seconds=300,
            deadlines_missed=2,
        )
    )


def test_what_runs_on_counts_until_the_window_ends():
    run = [played("a", start=900, end=1200)]
    assert compare_replays(run, run, UNTIL).groups[0].today.gpu_seconds == 200


def test_who_would_start_later_is_named_and_who_not_at_all_first():
    today = [played(name, start=100, end=200) for name in ("same", "soon", "late", "later", "never")]
    proposed = [played(n, start=s, end=900) for n, s in (("same", 100), ("soon", 160), ("late", 300), ("later", 400))]
    comparison = compare_replays(today, [*proposed, played("never")], UNTIL)
    assert [(job.job_id, job.proposed) for job in comparison.later] == [
        ("never", None),
        ("later", moment(400)),
        ("late", moment(300)),
    ]


def test_a_group_in_which_nobody_started_has_no_waits():
    waits = [played("a")]
    assert compare_replays(waits, waits, UNTIL).groups[0].today.avg_wait_s is None
