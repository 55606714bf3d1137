"""An invoice from its total down to the intervals, by its days, and what became of it."""

from datetime import date
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.billing import service as billing
from broker.contracts import service as contracts
from broker.reports.invoices.aftermath import read_aftermath
from broker.reports.invoices.days import add_up_days, read_days
from broker.reports.invoices.proof import read_line_proof
from broker.reports.invoices.segments import LinesAsked, list_segment_lines, list_segments
from broker.system import System
from pricing.money import Money, round_to_fen
from pricing.usage import Unit
from tests.broker.billing.invoicing import bill, bill_ten_hours, use
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.payments.receipts import import_lines, line
from tests.broker.running_jobs import HOUR


async def test_segments_add_up_to_the_total_and_lines_to_their_segment(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, tax_mode="on_top", tax_rate="0.06")
    for seconds in (95, 3700, 41):
        await use(system, customer, seconds, 57)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    async with system.work() as work:
        segments = await list_segments(work, invoice["id"])
        hours = segments[0]
        page = await list_segment_lines(work, LinesAsked(invoice["id"], hours, limit=2))
        rest = await list_segment_lines(work, LinesAsked(invoice["id"], hours, limit=2, offset=2))
    assert [(each.kind.value, each.meter, each.lines) for each in segments] == [
        ("usage", "gpu_seconds", 3),
        ("usage", "tokens", 3),
        ("tax", None, 1),
    ]
    assert sum((each.amount for each in segments), Money.zero()) == Money.from_decimal(invoice["total"]["amount"])
    assert [row.quantity for row in [*page, *rest]] == [3700, 95, 41]
    assert sum(row.amount_micros for row in [*page, *rest]) == hours.amount.micros


async def test_a_line_rests_on_charges_that_add_up_to_it_and_on_their_intervals(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer, invoice = await bill_ten_hours(api, system, clock)
    async with system.work() as work:
        row = await billing.get_invoice(work, invoice["id"])
        proof = await read_line_proof(work, row, 1)
    assert proof.agrees
    assert (proof.count, proof.charged, proof.paid_ahead) == (1, 10 * HOUR, None)
    (charge,) = proof.charges
    assert sum(each.gpu_seconds for each in charge.intervals) == 10 * HOUR
    assert charge.capture.rate_card_version == invoice["lines"][0]["rate_card_version"]
    assert customer.id == proof.line.customer_id


async def test_a_line_that_a_grant_has_paid_tells_what_was_taken_off(
    api: Api, system: System, clock: ManualClock
) -> None:
    customer = await make_ready_customer(api, plan="prepaid")
    await use(system, customer, 2 * HOUR)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    position = next(each["position"] for each in invoice["lines"] if each["kind"] == "usage")
    async with system.work() as work:
        proof = await read_line_proof(work, await billing.get_invoice(work, invoice["id"]), position)
    assert proof.agrees
    assert proof.paid_ahead == Money.from_decimal("10.40")


async def test_days_add_up_to_the_lines_of_usage(api: Api, system: System, clock: ManualClock) -> None:
    customer = await make_ready_customer(api)
    for seconds in (95, 37, 41):
        await use(system, customer, seconds, 41)
        clock.advance(days=1)
    clock.advance(days=30)
    invoice = await bill(api, customer, "2026-11")
    async with system.work() as work:
        terms = await contracts.get_contract(work, customer.contract["id"])
        days = await read_days(work, terms, "2026-11")
    assert [days[0].day, days[-1].day] == [date(2026, 11, 1), date(2026, 11, 30)]
    used = [each for each in invoice["lines"] if each["kind"] == "usage"]
    assert sum((each.cost for each in days), Money.zero()) == Money.from_decimal(invoice["total"]["amount"])
    for name in ("gpu_seconds", "tokens"):
        assert sum(getattr(each, name) for each in days) == sum(row["quantity"] for row in used if row["meter"] == name)


async def test_what_became_of_an_invoice_is_told(api: Api, system: System, clock: ManualClock) -> None:
    _customer, invoice = await bill_ten_hours(api, system, clock)
    await import_lines(api, line("20.00", invoice["payment_reference"]))
    credit: dict[str, Any] = {
        "invoice_id": invoice["id"],
        "reason": "Goodwill",
        "lines": [{"position": 1, "amount": "8"}],
    }
    await api.post("/credit-notes", credit, expect=201)
    await api.post("/disputes", {"invoice_id": invoice["id"], "position": 1, "reason": "It failed"}, expect=201)
    async with system.work() as work:
        found = await read_aftermath(work, invoice["id"])
    assert [(each.amount, each.automatic) for each in found.receipts] == [(Money.from_decimal("20"), True)]
    assert [note.total_micros for note in found.credit_notes] == [8_000_000]
    assert [each.status for each in found.disputes] == ["opened"]
    assert (list(found.adjustments), list(found.proposals)) == ([], [])


@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(list(Unit)[:2]), st.integers(1, 10**6).map(lambda n: Fraction(n, 10**5)), st.booleans()
        ),
        st.dictionaries(st.dates(date(2026, 11, 1), date(2026, 11, 9)), st.integers(0, 10**6), min_size=1, max_size=9),
        max_size=4,
    )
)
def test_days_of_any_month_add_up_to_segments_that_are_rounded_once(
    segments: dict[tuple[Unit, Fraction, bool], dict[date, int]],
) -> None:
    days = add_up_days({day for own in segments.values() for day in own}, segments)
    per = {Unit.GPU_SECONDS: 3600, Unit.TOKENS: 1}
    whole = [round_to_fen(price * Fraction(sum(own.values()), per[unit])) for (unit, price, _), own in segments.items()]
    assert sum((each.cost for each in days), Money.zero()) == sum(whole, Money.zero())
