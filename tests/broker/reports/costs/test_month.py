"""A month read for its page: both months at once, its change explained, and its jobs, all to the fen of the report."""

import pytest

from broker.reports.costs.costs import Costs
from broker.reports.costs.grouping import Dimension
from broker.reports.costs.job_costs import JobsAsked, list_job_costs
from broker.reports.costs.month import read_month
from broker.reports.costs.report import CostQuestion, report_monthly_cost
from broker.system import System
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.reports.finance_world import NOVEMBER, FinanceWorld, close, make_project, make_world, use


@pytest.fixture
async def world(api: Api, system: System) -> FinanceWorld:
    return await make_world(api, system)


async def test_a_month_is_the_report_and_nothing_of_its_change_is_unexplained(
    api: Api, system: System, world: FinanceWorld
) -> None:
    async with system.work() as work:
        month = await read_month(work, NOVEMBER)
        report = await report_monthly_cost(work, CostQuestion(NOVEMBER))
    assert sum((fact.costs.due for fact in month.facts), 0) == report.total.due
    assert month.change.after == Money(report.total.due - report.total.credited)
    assert month.change.before == month.change.unexplained == Money.zero()
    assert not month.is_final
    rows = month.group([Dimension.CUSTOMER])
    assert [row.costs.due for row in rows] == sorted((row.costs.due for row in rows), reverse=True)
    assert sum((row.costs for row in rows), Costs()).due == report.total.due


async def test_jobs_of_a_month_add_up_to_what_its_usage_costs_before_and_after_it_is_final(
    api: Api, system: System, clock: ManualClock, world: FinanceWorld
) -> None:
    async def read(**asked: object) -> tuple[list[Money], int, Money]:
        async with system.work() as work:
            found = await list_job_costs(work, JobsAsked(NOVEMBER, **asked))  # type: ignore[arg-type]
        return [row.cost for row in found.rows], found.count, found.total

    async with system.work() as work:
        cost = (await report_monthly_cost(work, CostQuestion(NOVEMBER))).total.cost
    costs, count, total = await read()
    assert (count, total) == (len(costs), Money(cost))
    assert sum(costs, Money.zero()) == total
    assert costs == sorted(costs, reverse=True)
    assert await read(limit=2, offset=2) == (costs[2:4], count, total)
    of_none = await read(customer_id=world.prepaid.id, of_project=True)
    assert of_none[1] == 1, "the job that is of no project"
    assert (await read(customer_id=world.prepaid.id))[1] == 3
    await close(api, clock, world)
    assert await read() == (costs, count, total)


async def test_jobs_of_a_project_are_those_alone(api: Api, system: System, world: FinanceWorld) -> None:
    project = await make_project(api, world.tiered, "line-art")
    await use(system, world.tiered, 3600, 5, project_id=project)
    async with system.work() as work:
        found = await list_job_costs(work, JobsAsked(NOVEMBER, of_project=True, project_id=project))
    assert [(row.project_id, row.gpu_seconds, row.tokens) for row in found.rows] == [(project, 3600, 5)]
