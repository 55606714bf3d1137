"""Corrections of closed months: what is taken back of a line that a final invoice has, on a later month's invoice."""

from sqlalchemy import func, insert, select

from broker.ledger.rating.usage import CapturedUsage, list_captured_usage
from broker.ledger.tables import Capture, RateCorrection
from broker.work import Work
from pricing.money import Money
from pricing.rounding import InvoicedLine, share_taken_back
from pricing.usage import Unit

CORRECTED_LINE = ("used_month", "unit", "unit_price", "billable")


async def correct_closed_month(work: Work, capture: Capture, quantity: int, *, billed_by: str) -> None:
    """Let an open month's invoice take back what a final one charged for so many units of a capture.

    The caller holds the contract's lock. Units: GPU-seconds or tokens.
    """
    amount = share_taken_back(await _find_line(work, capture), quantity)
    columns = ("customer_id", "contract_id", "job_id", *CORRECTED_LINE, "rate_card_version")
    row = {name: getattr(capture, name) for name in columns}
    own = {"month": billed_by, "corrected_month": capture.month, "created_at": work.now}
    await work.session.execute(
        insert(RateCorrection), [row | own | {"quantity": quantity, "amount_micros": amount.micros}]
    )


async def _find_line(work: Work, capture: Capture) -> InvoicedLine:
    """Find the line that has a capture, as its closed month's invoice rounded it, and what came back of it before."""
    lines = await list_captured_usage(work, capture.month, contract_id=capture.contract_id)
    line = next(line for line in lines if _has(line, capture))
    return InvoicedLine(line.quantity, line.amount, await _count_taken_back(work, capture))


def _has(line: CapturedUsage, capture: Capture) -> bool:
    described = (capture.job_id, capture.used_month, Unit(capture.unit), capture.unit_price, capture.billable)
    return (line.job_id, line.used_month, line.meter, line.unit_price, line.billable) == described


async def _count_taken_back(work: Work, capture: Capture) -> int:
    query = select(func.coalesce(func.sum(RateCorrection.quantity), 0)).where(
        RateCorrection.job_id == capture.job_id,
        RateCorrection.corrected_month == capture.month,
        *(getattr(RateCorrection, name) == getattr(capture, name) for name in CORRECTED_LINE),
    )
    return int(await work.session.scalar(query) or 0)


async def read_corrected(work: Work, contract_id: str, month: str | None = None) -> Money:
    """Read what the invoices of a contract take back of earlier ones: that of one month, or all."""
    query = select(func.coalesce(func.sum(RateCorrection.amount_micros), 0)).where(
        RateCorrection.contract_id == contract_id, RateCorrection.billable
    )
    if month is not None:
        query = query.where(RateCorrection.month == month)
    return Money(int(await work.session.scalar(query) or 0))
