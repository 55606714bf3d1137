"""The intervals of a run that are kept: where they are looked for."""

import itertools
import re
from collections import defaultdict

from broker.jobs.running.locked_run import lock_any_run
from broker.metering.keeping.intervals import SPANS_FROM, find_kept
from broker.persistence.driver import driving
from broker.system import System
from tests.broker.factories import Api, make_ready_customer
from tests.broker.running_jobs import start_job


async def test_the_last_intervals_of_a_run_are_looked_for_in_the_months_that_it_lived_in(
    api: Api, system: System
) -> None:
    job = await start_job(system, await make_ready_customer(api))
    async with system.work() as work:
        locked = await lock_any_run(work, job.run_id)
        spans, _quarantined = find_kept([(locked, ())], seen_by=None, now=work.now)
        async with driving(work.connection) as driven:
            statement = spans.statement
            explaining = await driven.driver.execute(b"EXPLAIN " + statement.text, statement.bind(spans.parameters))
            plan = "\n".join(line for (line,) in await explaining.fetchall())
    assert len(set(re.findall(r" on (usage_events_\w+)", plan))) == 1, plan


async def test_the_last_intervals_of_a_run_are_looked_for_by_its_number_whatever_is_asked(system: System) -> None:
    """By the time they ended, it would be all that anybody used since: the more of it, the dearer each heartbeat."""
    numbers: defaultdict[str, int] = defaultdict(itertools.count(1).__next__)
    asked = re.sub(r"%\((\w+)\)s", lambda name: f"${numbers[name[1]]}", SPANS_FROM.text.decode())
    async with system.work() as work:
        explaining = await work.connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {asked}")
        plan = "\n".join(explaining.scalars())
    assert set(re.findall(r"using usage_events_\d+_\d+_(\w+) on", plan)) == {"run_id_sequence_idx"}, plan
