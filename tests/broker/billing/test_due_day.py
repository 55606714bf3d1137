"""An invoice is due as many days after its issue as its contract gave then, also where an amendment gives others."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from broker.billing.model import compute_due_day
from broker.contracts.terms.changes import TermsChange
from tests.broker.billing.invoicing import bill
from tests.broker.conftest import ManualClock
from tests.broker.contract_terms import make_terms
from tests.broker.factories import Api, Customer, amend_contract, make_ready_customer

ISSUED = datetime(2026, 12, 1, 17, tzinfo=UTC)  # one in the morning of the second in Shanghai


@pytest.mark.parametrize(
    ("terms", "expires_at", "due"),
    [
        ({"payment_days": 30}, None, date(2027, 1, 1)),
        ({"payment_days": 30, "time_zone": "UTC"}, None, date(2026, 12, 31)),
        ({"payment_days": 0}, None, date(2026, 12, 2)),
        ({"payment_days": 365}, None, date(2027, 12, 2)),
        ({"payment_days": 30}, datetime(2026, 12, 8, 17, tzinfo=UTC), date(2026, 12, 9)),
        ({"payment_days": 3}, datetime(2026, 12, 8, 17, tzinfo=UTC), date(2026, 12, 5)),
    ],
)
def test_due_day_is_counted_in_the_contracts_time_zone_and_no_order_outlives_itself(
    terms: dict[str, Any], expires_at: datetime | None, due: date
) -> None:
    assert compute_due_day(make_terms(**terms), ISSUED, expires_at) == due


@pytest.mark.parametrize(
    ("issued_at", "due"),
    [("2026-12-01T16:59:59", date(2027, 1, 1)), ("2026-12-01T17:00:00", date(2027, 1, 31))],
)
def test_amended_days_count_for_invoices_from_their_moment_on(issued_at: str, due: date) -> None:
    signed = TermsChange(datetime(2026, 11, 1, tzinfo=UTC), {"payment_days": 30})
    terms = make_terms(changes=(signed, TermsChange(ISSUED, {"payment_days": 60})))
    moment = datetime.fromisoformat(issued_at).replace(tzinfo=UTC)
    assert compute_due_day(terms, moment, None) == due


async def test_final_invoices_say_when_they_are_due_and_drafts_do_not(api: Api, clock: ManualClock) -> None:
    customer = await make_ready_customer(api, payment_days=10)
    contract_id = customer.contract["id"]
    await amend_contract(api, contract_id, payment_days=45, effective_at="2027-01-01T00:00:00Z")
    clock.now = datetime(2026, 12, 20, tzinfo=UTC)
    draft = await api.post("/invoices", {"contract_id": contract_id, "month": "2026-12"}, expect=201)
    november = await bill(api, customer, "2026-11")
    clock.now = datetime(2027, 1, 2, tzinfo=UTC)
    december = await bill(api, customer, "2026-12")
    assert (draft["due_on"], november["due_on"], december["due_on"]) == (None, "2026-12-30", "2027-02-16")


async def test_order_is_due_before_it_is_over(api: Api, clock: ManualClock) -> None:
    customer: Customer = await make_ready_customer(api, payment_days=90)
    order = await api.post("/purchases", {"contract_id": customer.contract["id"], "gpu_hours": "10"}, expect=201)
    invoice = await api.get(f"/invoices/{order['invoice_id']}")
    assert invoice["due_on"] <= order["expires_at"][:10]
