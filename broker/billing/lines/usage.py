"""The part of a draft that bills what the month captured, and takes off again what an advance has paid."""

from collections.abc import Iterable, Mapping

from broker.billing.lines.batch import MonthBatch
from broker.billing.model import DraftLine, LineKind
from broker.ledger.service import CapturedUsage
from broker.metering.outside.streams import StreamKey
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

METER_NAMES = {Unit.GPU_SECONDS: "GPU-hours", Unit.TOKENS: "tokens"}


async def usage_lines(_work: Work, batch: MonthBatch) -> Mapping[str, list[DraftLine]]:
    """Draft the lines of a month's captured usage; what is late for a closed month is a part of its own."""
    return {
        contract_id: draft_usage_lines((group for group in groups if group.used_month == batch.month), batch.streams)
        for contract_id, groups in batch.charged.items()
    }


def draft_usage_lines(groups: Iterable[CapturedUsage], streams: Mapping[str, StreamKey]) -> list[DraftLine]:
    """Draft one line for each group; one that a grant has paid is followed by a line that takes it off again.

    `streams` are by their ids: what is of none of them is usage of a job.
    """
    lines: list[DraftLine] = []
    for group in groups:
        name, origin, stream = METER_NAMES[group.meter], describe_origin(group, streams), streams.get(group.job_id)
        text = f"{name}, job {group.job_id}" if stream is None else f"{name}, reported by {stream.source}"
        lines.append(draft_line(group, LineKind.USAGE, text, group.amount))
        if not group.billable:
            lines.append(draft_line(group, LineKind.ADVANCE, f"{name} paid by a grant, {origin}", -group.amount))
    return lines


def describe_origin(group: CapturedUsage, streams: Mapping[str, StreamKey]) -> str:
    """Describe where usage comes from: a job, or a source of usage from outside."""
    stream = streams.get(group.job_id)
    return f"job {group.job_id}" if stream is None else f"reported by {stream.source}"


def draft_line(group: CapturedUsage, kind: LineKind, description: str, amount: Money) -> DraftLine:
    """Draft a line of this kind for a group; it says which month the usage is of, where that is a closed one."""
    return DraftLine(
        kind=kind,
        description=description,
        job_id=group.job_id,
        meter=group.meter,
        quantity=group.quantity,
        unit_price=group.unit_price,
        rate_card_version=group.rate_card_version,
        amount=amount,
        used_month=group.used_month,
        billable=group.billable,
    )
