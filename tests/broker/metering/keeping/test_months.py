"""The partitions of usage events: one for each month in UTC, and one for whatever has none."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.metering.keeping.months import open_months_ahead
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import broken_rules, report_usage, start_job

NEW_YEAR = datetime(2040, 1, 1, tzinfo=UTC)
BEFORE, AT, AFTER = NEW_YEAR - timedelta(microseconds=1), NEW_YEAR, NEW_YEAR + timedelta(seconds=1)
PARTITIONS = "SELECT tableoid::regclass::text AS partition FROM usage_events ORDER BY ended_at"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEFORE)


async def read_partitions(urls: DatabaseUrls) -> list[object]:
    with owner_connection(urls) as connection:
        return [row["partition"] for row in connection.execute(PARTITIONS)]


async def test_usage_of_each_month_goes_to_its_own_partition_at_the_edge_in_utc(
    api: Api, system: System, clock: ManualClock, urls: DatabaseUrls
) -> None:
    async with system.work() as work:
        assert await open_months_ahead(work) == ["2039-12", "2040-01", "2040-02", "2040-03"]
        assert await open_months_ahead(work) == []
    customer = await make_ready_customer(api)
    job = await start_job(system, customer)
    for moment in (BEFORE, AT, AFTER):
        clock.now = moment
        await report_usage(system, job, tokens=10)
    assert await read_partitions(urls) == ["usage_events_2039_12", "usage_events_2040_01", "usage_events_2040_01"]
    assert await broken_rules(system) == {}


async def test_usage_of_a_month_without_a_partition_is_kept_all_the_same(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    """And the month that it is of gets no partition any more, which would leave it behind."""
    job = await start_job(system, await make_ready_customer(api))
    await report_usage(system, job, tokens=10)
    assert await read_partitions(urls) == ["usage_events_default"]
    async with system.work() as work:
        assert "2039-12" not in await open_months_ahead(work)
    assert await broken_rules(system) == {}


async def test_partitions_are_guarded_as_the_whole_table_is(system: System, urls: DatabaseUrls) -> None:
    """The application asks the table; of a partition it has no rights, and its rows are guarded all the same."""
    async with system.work() as work:
        await open_months_ahead(work)
    query = """SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS isolated,
                  (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
                  (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'refuse_change') AS guards,
                  has_table_privilege('broker_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') AS reachable
           FROM pg_class c WHERE c.relispartition AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"""
    with owner_connection(urls) as connection:
        found = [tuple(row.values())[1:] for row in connection.execute(query.encode())]
    assert len(found) >= 16 + 1 + 4
    assert set(found) == {(True, 1, 1, False)}
