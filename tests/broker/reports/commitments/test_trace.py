"""The lines of a burn-down chart: they end at what is left, and the forecasts begin there."""

from datetime import timedelta

from broker.reports.commitments.report import report_commitments
from broker.reports.commitments.trace import read_traces
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.reports.finance_world import use
from tests.broker.running_jobs import HOUR


async def test_lines_begin_with_the_commitment_and_meet_at_what_is_left(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    for hours in (20, 30, 40):
        await use(system, customer, hours * HOUR, 0)
        clock.advance(days=7)
    async with system.work() as work:
        report = await report_commitments(work, timedelta(days=90))
        (trace,) = (await read_traces(work, report.rows)).values()
        (row,) = report.rows
        now = work.now
    left = [point.left // HOUR for point in trace.actual]
    assert (left[0], left[-1]) == (2000, 1910)
    assert left == sorted(left, reverse=True)
    assert trace.actual[-1].moment == now
    assert [point.left // HOUR for point in trace.even] == [2000, 0]
    assert trace.most == 2000 * HOUR
    for line in (trace.fast, trace.usual, trace.slow):
        assert (line[0].moment, line[0].left) == (now, row.left)
    assert trace.fast[-1].left <= trace.usual[-1].left <= trace.slow[-1].left


async def test_nobody_can_say_after_a_week_where_it_leads(api: Api, system: System) -> None:
    await make_ready_customer(api, plan="long_term", committed_gpu_hours=2000)
    async with system.work() as work:
        report = await report_commitments(work, timedelta(days=90))
        (trace,) = (await read_traces(work, report.rows)).values()
    assert (trace.fast, trace.usual, trace.slow) == ([], [], [])
    assert len(trace.actual) == 3, "the beginning, a week ago, now"
