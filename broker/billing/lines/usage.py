"""The part of a draft that bills what the month captured, and takes off again what an advance has paid."""

from collections.abc import Iterable, Mapping

from broker.billing.model import DraftLine, LineKind
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.ledger.service import CapturedUsage
from broker.metering.outside.streams import list_stream_sources
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit

METER_NAMES = {Unit.GPU_SECONDS: "GPU-hours", Unit.TOKENS: "tokens"}


async def usage_lines(work: Work, terms: ContractTerms, month: str) -> list[DraftLine]:
    """Draft the lines of a month's captured usage; what is late for a closed month is a part of its own."""
    sources = await list_stream_sources(work, terms.id)
    charged = await list_charged(work, terms, month)
    return draft_usage_lines((group for group in charged if group.used_month == month), sources)


async def list_charged(work: Work, terms: ContractTerms, month: str) -> list[CapturedUsage]:
    """List what a month charges, as its lines: each of one card, where the contract follows several."""
    charged = await ledger.list_captured_usage(work, month, contract_id=terms.id)
    if len(terms.cards) > 1:
        return await ledger.split_by_version(work, terms.id, month, charged)
    return charged


def draft_usage_lines(groups: Iterable[CapturedUsage], sources: Mapping[str, str]) -> list[DraftLine]:
    """Draft one line for each group; one that a grant has paid is followed by a line that takes it off again.

    `sources` are those of streams, by their ids: what has none there is usage of a job.
    """
    lines: list[DraftLine] = []
    for group in groups:
        name, origin = METER_NAMES[group.meter], describe_origin(group, sources)
        lines.append(draft_line(group, LineKind.USAGE, f"{name}, {origin}", group.amount))
        if not group.billable:
            lines.append(draft_line(group, LineKind.ADVANCE, f"{name} paid by a grant, {origin}", -group.amount))
    return lines


def describe_origin(group: CapturedUsage, sources: Mapping[str, str]) -> str:
    """Describe where usage comes from: a job, or a source of usage from outside."""
    source = sources.get(group.job_id)
    return f"job {group.job_id}" if source is None else f"reported by {source}"


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
