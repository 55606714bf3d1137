"""What needs ops is told the worst first, and nothing is where all is well."""

from datetime import UTC, datetime, timedelta

from broker.capacity.model import Readiness
from broker.capacity.readiness import JudgedPool
from broker.capacity.tables import Pool
from broker.jobs.reading.waiting_sums import WaitingSum
from broker.operations.attention import NeedKind, ServiceState, Shortfall, list_needs
from broker.operations.claims import Facts
from broker.operations.overview import Overview
from broker.persistence.marks import PLANNED, VERIFIED, Mark
from broker.persistence.outbox import Pending

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
WELL = {PLANNED: Mark(NOW, 0, 0), VERIFIED: Mark(NOW, 0, 0)}


def see(*pools: JudgedPool, waiting: tuple[WaitingSum, ...] = ()) -> Overview:
    return Overview(Facts(NOW, (), {}, (), waiting), pools, [], {}, {}, {})


def judged(name: str, readiness: Readiness) -> JudgedPool:
    return JudgedPool(Pool(name=name), None, readiness, None)


def test_nothing_is_told_where_all_is_well_and_what_ops_has_closed_is_no_need() -> None:
    seen = see(judged("a", Readiness.OPEN), judged("b", Readiness.CLOSED), judged("c", Readiness.DRAINING))
    assert list_needs(seen, ServiceState(WELL, Pending(3, NOW - timedelta(seconds=20)))) == []


def test_what_stops_everything_comes_first_each_with_whom_it_is_about() -> None:
    aside = WaitingSum("cus_1", "con_1", "standard", None, False, None, "set_aside", 2, 2, NOW)
    seen = see(judged("b", Readiness.RESTING), judged("a", Readiness.SILENT), waiting=(aside,))
    ago = NOW - timedelta(minutes=5)
    marks = {PLANNED: Mark(ago, 0, 0), VERIFIED: Mark(ago, 0, 7)}
    service = ServiceState(marks, Pending(4, ago), [Shortfall("con_1", "a100-80g", 2, ago)])
    assert [(need.kind, need.of, need.count) for need in list_needs(seen, service)] == [
        (NeedKind.NO_CYCLE, "", 0),
        (NeedKind.BOOKS_DIFFER, "", 7),
        (NeedKind.AGENT_SILENT, "a", 0),
        (NeedKind.POOL_BROKEN, "b", 0),
        (NeedKind.GUARANTEE_SHORT, "con_1", 2),
        (NeedKind.OUTBOX_LATE, "", 4),
        (NeedKind.JOBS_SET_ASIDE, "", 2),
    ]


def test_a_service_that_has_planned_and_verified_nothing_yet_says_so() -> None:
    needs = list_needs(see(), ServiceState({}, Pending()))
    assert [(need.kind, need.since) for need in needs] == [(NeedKind.NO_CYCLE, None), (NeedKind.BOOKS_UNVERIFIED, None)]
