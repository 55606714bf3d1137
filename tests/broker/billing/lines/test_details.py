"""What lines of usage tell beside their price: pure, from the parts that captures make them of."""

from decimal import Decimal

from broker.billing.lines.borne import draft_borne
from broker.billing.lines.details import ListPrices, Origins, detail_lines
from broker.billing.model import AppliedGrant, DraftLine, LineKind
from broker.ledger.service import CapturedUsage, Cause, LinePart
from pricing.money import Money
from pricing.rate_card import load_rate_cards
from pricing.usage import Unit

CARD = load_rate_cards()["2026-01-01"]
VERSION = CARD.version
ORIGINS = Origins({"job_1": "prj_1"}, {"run_1": "cpu", "run_2": None})


def line(
    quantity: int = 7200, price: str = "4", *, kind: LineKind = LineKind.USAGE, billable: bool = True
) -> DraftLine:
    return DraftLine(
        kind=kind,
        description="GPU-hours",
        amount=Money.from_decimal("8.00"),
        job_id="job_1",
        meter=Unit.GPU_SECONDS,
        quantity=quantity,
        unit_price=Decimal(4),
        rate_card_version=VERSION,
        used_month="2026-11",
        billable=billable,
    )


def part(quantity: int, grant_id: str | None = None, *, run_id: str = "run_1", billable: bool = True) -> LinePart:
    return LinePart(
        "con_1", "job_1", run_id, "2026-11", Unit.GPU_SECONDS, Decimal(4), billable, VERSION, grant_id, quantity
    )


def tell(lines: list[DraftLine], parts: list[LinePart], *, has_grants: bool = True) -> list[DraftLine]:
    return detail_lines(lines, parts, ListPrices({VERSION: CARD}, ORIGINS, has_grants))


def test_a_line_tells_its_project_its_list_price_the_grants_that_paid_and_what_none_covers() -> None:
    (told,) = tell([line()], [part(3600, "gra_1"), part(1200, "gra_2"), part(600, "gra_1"), part(1800)])
    assert told.details.project_id == "prj_1"
    assert told.details.list_price == Decimal("6.8")
    assert told.details.list_amount == Money.from_decimal("13.60")
    assert told.details.grants == (AppliedGrant("gra_1", 4200), AppliedGrant("gra_2", 1200))
    assert told.details.overage == 1800
    assert told.amount == line().amount


def test_without_any_grant_there_is_no_overage() -> None:
    (told,) = tell([line()], [part(7200, run_id="run_2")], has_grants=False)
    assert (told.details.overage, told.details.grants) == (0, ())


def test_usage_that_an_advance_has_paid_is_told_apart_from_what_is_billed_at_the_same_price() -> None:
    paid, taken_off = line(3600, billable=False), line(3600, kind=LineKind.ADVANCE, billable=False)
    told = tell([paid, taken_off, line(1800)], [part(3600, "gra_1", billable=False), part(1800)])
    assert [each.details.grants for each in told] == [(AppliedGrant("gra_1", 3600),), (), ()]
    assert [each.details.overage for each in told] == [0, 0, 1800]
    assert {each.details.project_id for each in told} == {"prj_1"}


def test_what_is_taken_back_of_a_closed_month_has_no_list_price() -> None:
    (told,) = tell([line(-7200, kind=LineKind.CORRECTION)], [])
    assert (told.details.list_price, told.details.list_amount) == (None, None)


def test_what_the_house_bears_costs_nothing_and_says_why() -> None:
    shared = (
        "con_1",
        "job_1",
        Unit.GPU_SECONDS,
        900,
        Decimal(4),
        False,
        VERSION,
        Money.from_decimal("1.00"),
        "2026-11",
    )
    causes = (Cause.MACHINE_LOST, Cause.OVER_PROMISE)
    lost, beyond = draft_borne([CapturedUsage(*shared, cause=cause) for cause in causes], {})
    assert lost.description == "GPU-hours lost: machine_lost, not charged (worth 1.00), job job_1"
    assert beyond.description == "GPU-hours beyond what was promised, not charged (worth 1.00), job job_1"
    assert {(each.kind, each.amount, each.unit_price) for each in (lost, beyond)} == {(LineKind.BORNE, Money(0), None)}
