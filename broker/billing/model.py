"""How captured usage becomes invoice lines. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pricing.money import Money, round_to_fen
from pricing.plans import Meter
from pricing.rating import price_usage


class InvoiceKind(StrEnum):
    ADVANCE = "advance"
    USAGE = "usage"


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"


class LineKind(StrEnum):
    COMMITMENT = "commitment"
    USAGE = "usage"
    PREPAID_APPLIED = "prepaid_applied"


@dataclass(frozen=True)
class UsageGroup:
    """What one job used in a month of one meter at one price. Units: GPU-seconds or tokens; yuan per GPU-hour or token.

    `billable` is false where a grant that was bought ahead has paid for it.
    """

    job_id: str
    meter: Meter
    quantity: int
    unit_price: Decimal
    billable: bool
    rate_card_version: str

    @property
    def amount(self) -> Money:
        """Its price, rounded once, half-even to the fen."""
        return round_to_fen(price_usage(self.meter, self.quantity, self.unit_price))


@dataclass(frozen=True)
class DraftLine:
    kind: LineKind
    description: str
    job_id: str | None
    meter: Meter
    quantity: int
    unit_price: Decimal
    rate_card_version: str
    amount: Money


METER_NAMES = {Meter.GPU_SECONDS: "GPU-hours", Meter.TOKENS: "tokens"}


def draft_usage_lines(groups: Iterable[UsageGroup]) -> list[DraftLine]:
    """One line a group; one that was paid ahead is followed by the line that takes it off again."""
    lines: list[DraftLine] = []
    for group in groups:
        name = METER_NAMES[group.meter]
        lines.append(_line(group, LineKind.USAGE, f"{name}, job {group.job_id}", group.amount))
        if not group.billable:
            text = f"{name} paid ahead, job {group.job_id}"
            lines.append(_line(group, LineKind.PREPAID_APPLIED, text, -group.amount))
    return lines


def _line(group: UsageGroup, kind: LineKind, description: str, amount: Money) -> DraftLine:
    return DraftLine(
        kind=kind,
        description=description,
        job_id=group.job_id,
        meter=group.meter,
        quantity=group.quantity,
        unit_price=group.unit_price,
        rate_card_version=group.rate_card_version,
        amount=amount,
    )


def sum_lines(lines: Iterable[DraftLine]) -> Money:
    return sum((line.amount for line in lines), Money.zero())
