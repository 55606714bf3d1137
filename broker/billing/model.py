"""How captured usage becomes invoice lines. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from broker.ledger.service import CapturedUsage
from pricing.money import Money
from pricing.usage import Unit


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
    ADVANCE = "advance"


@dataclass(frozen=True)
class DraftLine:
    kind: LineKind
    description: str
    job_id: str | None
    meter: Unit
    quantity: int
    unit_price: Decimal
    rate_card_version: str
    amount: Money


METER_NAMES = {Unit.GPU_SECONDS: "GPU-hours", Unit.TOKENS: "tokens"}


def draft_usage_lines(groups: Iterable[CapturedUsage]) -> list[DraftLine]:
    """Draft one line for each group; one that an advance has paid is followed by a line that takes it off again."""
    lines: list[DraftLine] = []
    for group in groups:
        name = METER_NAMES[group.meter]
        lines.append(_line(group, LineKind.USAGE, f"{name}, job {group.job_id}", group.amount))
        if not group.billable:
            text = f"{name} paid by an advance, job {group.job_id}"
            lines.append(_line(group, LineKind.ADVANCE, text, -group.amount))
    return lines


def _line(group: CapturedUsage, kind: LineKind, description: str, amount: Money) -> DraftLine:
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
