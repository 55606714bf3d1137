"""The part of a draft that concerns closed months: what came too late for them, and what is taken back of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from broker.billing.lines.batch import MonthBatch, group_by_contract
from broker.billing.lines.usage import METER_NAMES, describe_origin, draft_line
from broker.billing.model import DraftLine, InvoiceKind, LineKind
from broker.billing.tables import Invoice, InvoiceLine
from broker.ledger import service as ledger
from broker.ledger.service import CapturedUsage
from broker.work import Work


@dataclass(frozen=True)
class LineKey:
    """What tells the lines of one month's invoice from each other."""

    job_id: str | None
    used_month: str | None
    meter: str | None
    unit_price: Decimal | None
    billable: bool


class LineMissing(LookupError):
    """What is taken back of a closed month has no line on that month's invoice: the books contradict each other."""

    def __init__(self, month: str, key: LineKey) -> None:
        super().__init__(
            f"what is taken back of {month} is on no invoice of that month: {key}; `broker ledger verify` says more"
        )


async def correction_lines(work: Work, batch: MonthBatch) -> Mapping[str, list[DraftLine]]:
    """Draft the lines of usage that is late for a closed month, and of what is taken back of closed months' lines."""
    lines = {each: _draft_all_late(groups, batch) for each, groups in batch.charged.items()}
    taken = await ledger.list_corrections(work, batch.month, contract_ids=batch.ids)
    for contract_id, groups in group_by_contract(taken).items():
        lines[contract_id] = [*lines.get(contract_id, ()), *await _draft_returns(work, batch, contract_id, groups)]
    return lines


def _draft_all_late(groups: Iterable[CapturedUsage], batch: MonthBatch) -> list[DraftLine]:
    late = (group for group in groups if group.used_month != batch.month)
    return [line for group in late for line in _draft_late(group, describe_origin(group, batch.streams))]


async def _draft_returns(
    work: Work, batch: MonthBatch, contract_id: str, taken: Sequence[CapturedUsage]
) -> list[DraftLine]:
    """Draft what is taken back of a contract's closed months. That is rare: it is read for each contract by itself."""
    returns = await ledger.list_returns(work, contract_id, batch.month)
    lines: list[DraftLine] = []
    for closed in sorted({group.corrects for group in taken if group.corrects is not None}):
        places = await _find_places(work, contract_id, closed)
        for group in (each for each in taken if each.corrects == closed):
            first, *taken_off = _draft_taken(group, places, describe_origin(group, batch.streams))
            basis = describe_basis(group, returns)
            told = f"{first.description}{_describe_credited(basis)}"
            lines += [replace(first, description=told, basis=basis), *taken_off]
    return lines


def describe_basis(group: CapturedUsage, returns: Iterable[ledger.Return]) -> dict[str, Any]:
    """Describe the closed month's line that a line takes back of, and each time that it did. Pure."""
    own = [each for each in returns if _is_of(each, group)]
    return {
        "closed_month": group.corrects,
        "line_quantity": own[0].line.quantity,
        "line_amount": own[0].line.amount.format_amount(),
        "returns": [_describe_return(each) for each in own],
    }


def _describe_credited(basis: Mapping[str, Any]) -> str:
    """Describe why a line takes back less than its quantity was charged: the rest was given back before."""
    credited = find_credited(basis)
    return "" if credited is None else f"; {credited} of that line was credited or written off before"


def find_credited(basis: Mapping[str, Any]) -> str | None:
    """Find what of a closed month's line was given back otherwise when it was taken back; None where nothing was."""
    return next((each["credited"] for each in reversed(basis.get("returns") or ()) if "credited" in each), None)


def _describe_return(each: ledger.Return) -> dict[str, Any]:
    told = {"before": each.before, "quantity": each.quantity, "amount": each.amount.format_amount()}
    return told | ({"credited": each.credited.format_amount()} if each.credited.micros else {})


def _is_of(each: ledger.Return, group: CapturedUsage) -> bool:
    names = ("job_id", "meter", "unit_price", "billable", "used_month", "rate_card_version")
    return each.corrected_month == group.corrects and all(getattr(each, n) == getattr(group, n) for n in names)


def _draft_late(group: CapturedUsage, origin: str) -> list[DraftLine]:
    return _with_advance(group, f"{METER_NAMES[group.meter]} of {group.used_month}, reported late, {origin}")


def _draft_taken(group: CapturedUsage, places: Mapping[LineKey, str], origin: str) -> list[DraftLine]:
    key = LineKey(group.job_id, group.used_month, group.meter.value, group.unit_price, group.billable)
    if key not in places:
        raise LineMissing(group.corrects or "", key)
    return _with_advance(group, f"{METER_NAMES[group.meter]} taken back of {places[key]}, {origin}")


def _with_advance(group: CapturedUsage, text: str) -> list[DraftLine]:
    """Draft a line of a closed month; where an advance has paid, one that takes it off again follows."""
    lines = [draft_line(group, LineKind.CORRECTION, text, group.amount)]
    if not group.billable:
        lines.append(draft_line(group, LineKind.ADVANCE, f"{text}, paid by a grant", -group.amount))
    return lines


async def _find_places(work: Work, contract_id: str, month: str) -> dict[LineKey, str]:
    """Find where the lines of a closed month's usage stand: the number of its invoice, and the line's."""
    query = (
        select(Invoice.number, InvoiceLine)
        .join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .where(Invoice.contract_id == contract_id, Invoice.kind == InvoiceKind.USAGE.value, Invoice.month == month)
    )
    rows = (await work.session.execute(query)).all()
    taken_off = {line.position - 1 for _number, line in rows if line.kind == LineKind.ADVANCE}
    return {
        LineKey(
            line.job_id, line.used_month or month, line.meter, line.unit_price, line.position not in taken_off
        ): f"{number}, line {line.position}"
        for number, line in rows
        if line.kind in {LineKind.USAGE, LineKind.CORRECTION} and (line.quantity or 0) > 0
    }
