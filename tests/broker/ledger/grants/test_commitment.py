"""The periods of a commitment, and how far it is used at any time."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.contracts import service as contracts
from broker.contracts.terms.changes import TermsChange
from broker.contracts.terms.model import ContractTerms
from broker.ledger.grants.commit_periods import find_last_terms, list_periods
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_customer, make_ready_customer, sign_contract
from tests.broker.running_jobs import HOUR, report_usage, start_job


@pytest.fixture
async def terms(api: Api, system: System) -> ContractTerms:
    customer = await make_customer(api)
    signed = await sign_contract(
        api, customer["id"], plan="long_term", committed_gpu_hours=2000, ends_at="2027-11-01T00:00:00Z"
    )
    async with system.work() as work:
        return await contracts.get_contract(work, signed["id"])


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


async def test_contract_with_an_end_commits_for_its_whole_term(terms: ContractTerms) -> None:
    (period,) = list_periods(terms, moment("2026-12-01"))
    assert (period.starts_at, period.ends_at) == (terms.starts_at, terms.ends_at)
    assert (period.first_month, period.last_month) == ("2026-11", "2027-11")
    on_the_border = replace(terms, ends_at=moment("2027-10-31T16:00"))  # midnight in Shanghai
    assert list_periods(on_the_border, moment("2026-12-01"))[-1].last_month == "2027-10"


async def test_contract_without_an_end_commits_for_twelve_billing_months_each(terms: ContractTerms) -> None:
    endless = replace(terms, ends_at=None)
    first, second = list_periods(endless, moment("2027-10-31T16:00"))
    assert (first.first_month, first.last_month, second.last_month) == ("2026-11", "2027-10", "2028-10")
    assert first.ends_at == second.starts_at == moment("2027-10-31T16:00")
    assert list_periods(endless, moment("2027-10-31T15:59")) == [first]
    begun = replace(endless, starts_at=moment("2026-11-10"))
    (longer,) = list_periods(begun, moment("2027-11-01"))
    assert (longer.starts_at, longer.first_month, longer.last_month) == (begun.starts_at, "2026-11", "2027-11")


async def test_commitment_shows_what_is_used_and_where_its_pace_leads(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(
        api, plan="long_term", committed_gpu_hours=2000, ends_at="2026-12-01T00:00:00Z"
    )
    job = await start_job(system, customer, gpu_seconds=600 * HOUR, tokens=0)
    clock.now = moment("2026-11-16")  # half of the term
    await report_usage(system, job, gpu_seconds=600 * HOUR)
    shown = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    assert (shown["committed_gpu_hours"], shown["used_gpu_hours"], shown["used_percent"]) == (
        "2000.0000",
        "600.0000",
        "30.0",
    )
    assert (shown["pace_gpu_hours_per_day"], shown["expected_gpu_hours"]) == ("40.0000", "1200.0000")
    assert (shown["true_up"]["amount"], shown["expected_true_up"]["amount"]) == ("5600.00", "3200.00")
    assert shown["expected_percent"] == "60.0"


async def test_hours_and_tokens_paid_ahead_are_never_trued_up(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, plan="prepaid", committed_tokens=100_000, ends_at="2026-12-10T04:00:00Z")
    job = await start_job(system, customer, tokens=25_000)
    clock.advance(days=10)
    await report_usage(system, job, gpu_seconds=50 * HOUR, tokens=25_000)
    shown = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    assert (shown["used_percent"], shown["expected_true_up"]["amount"]) == ("10.0", "0.00")
    assert (shown["committed_tokens"], shown["used_tokens"], shown["used_tokens_percent"]) == (100_000, 25_000, "25.0")
    assert (shown["pace_tokens_per_day"], shown["expected_tokens"]) == (1304, 51_086)


async def test_contract_that_commits_to_nothing_has_nothing_to_attain(api: Api) -> None:
    customer = await make_ready_customer(api)
    shown = await api.get(f"/contracts/{customer.contract['id']}/commitment")
    assert (shown["committed_gpu_hours"], shown["used_percent"], shown["true_up"]["amount"]) == ("0.0000", None, "0.00")
    assert (shown["committed_tokens"], shown["used_tokens_percent"]) == (0, None)


async def test_period_is_judged_by_the_terms_with_which_it_ends(terms: ContractTerms) -> None:
    (period,) = list_periods(terms, moment("2026-12-01"))
    more = TermsChange(moment("2027-01-01"), {"committed_gpu_hours": 3000})
    after = TermsChange(moment("2027-11-01"), {"committed_gpu_hours": 5000})
    amended = replace(terms, changes=(TermsChange(terms.starts_at, {"committed_gpu_hours": 2000}), more, after))
    judged = [find_last_terms(amended, period, moment(day)) for day in ("2026-12-01", "2027-01-01", "2028-01-01")]
    assert [each.committed_gpu_hours for each in judged] == [2000, 3000, 3000]
    assert [each.trues_up for each in (terms, replace(terms, cancelled_at=moment("2026-11-02")))] == [True, False]
