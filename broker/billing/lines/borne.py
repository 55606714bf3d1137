"""The part of a draft that says what the house bears: work that was lost by our doing, usage beyond a promise.

It costs nothing; a customer sees that it was used, and why it is not charged.
"""

from collections.abc import Iterable, Mapping

from broker.billing.lines.batch import MonthBatch, group_by_contract
from broker.billing.lines.usage import METER_NAMES, describe_origin
from broker.billing.model import DraftLine, LineKind
from broker.ledger import service as ledger
from broker.ledger.service import CapturedUsage
from broker.metering.outside.streams import StreamKey
from broker.work import Work
from pricing.money import Money


async def borne_lines(work: Work, batch: MonthBatch) -> Mapping[str, list[DraftLine]]:
    """Draft the lines of what the house bears in a month; each is of one job, meter, price and cause."""
    borne = group_by_contract(await ledger.list_borne_usage(work, batch.month, contract_ids=batch.ids))
    return {contract_id: draft_borne(groups, batch.streams) for contract_id, groups in borne.items()}


def draft_borne(borne: Iterable[CapturedUsage], streams: Mapping[str, StreamKey]) -> list[DraftLine]:
    """Draft one line for each group, which tells its cause and what it would have cost. Pure."""
    return [_draft(group, describe_origin(group, streams)) for group in borne if group.quantity]


def _draft(group: CapturedUsage, origin: str) -> DraftLine:
    assert group.cause is not None, "what is borne has a cause"
    lost = "beyond what was promised" if group.cause == ledger.Cause.OVER_PROMISE else f"lost: {group.cause.value}"
    text = f"{METER_NAMES[group.meter]} {lost}, not charged (worth {group.amount.format_amount()}), {origin}"
    return DraftLine(
        kind=LineKind.BORNE,
        description=text,
        amount=Money.zero(),
        job_id=group.job_id,
        meter=group.meter,
        quantity=group.quantity,
        rate_card_version=group.rate_card_version,
        used_month=group.used_month,
        basis={"cause": group.cause.value},
    )
