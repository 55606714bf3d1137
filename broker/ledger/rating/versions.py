"""Lines by the version of their card: what a job used at one price that two cards of a month have alike."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.ledger.rating.usage import CapturedUsage
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.rating import price_usage
from pricing.rounding import share_amount
from pricing.usage import Unit

LineKey = tuple[Any, ...]


async def split_by_version(
    work: Work, contract_ids: Collection[str], month: str, lines: Sequence[CapturedUsage]
) -> list[CapturedUsage]:
    """Split the lines of contracts' month so that each names the one card that priced it.

    A job's line is rounded as one, for its promises; its amount is shared among the versions by largest remainder.
    """
    counts = await _count_by_version(work, contract_ids, month)
    return [part for line in lines for part in share_among_versions(line, counts.get(_key_of(line), {}))]


async def _count_by_version(work: Work, contract_ids: Collection[str], month: str) -> Mapping[LineKey, dict[str, int]]:
    corrected = aliased(Capture)
    line = (Capture.contract_id, Capture.job_id, Capture.used_month, Capture.unit, Capture.unit_price, Capture.billable)
    query = (
        select(*line, Capture.rate_card_version, func.sum(Capture.quantity))
        .outerjoin(corrected, corrected.id == Capture.corrects_id)
        .where(Capture.contract_id.in_(contract_ids), Capture.month == month, ~Capture.borne)
        .where(func.coalesce(corrected.month, month) == month)
        .group_by(*line, Capture.rate_card_version)
        .having(func.sum(Capture.quantity) > 0)
        .order_by(*line, Capture.rate_card_version)
    )
    counts: defaultdict[LineKey, dict[str, int]] = defaultdict(dict)
    for *key, version, quantity in await work.session.execute(query):
        counts[tuple(key)][version] = int(quantity)
    return counts


def _key_of(line: CapturedUsage) -> LineKey:
    return line.contract_id, line.job_id, line.used_month, line.meter.value, line.unit_price, line.billable


def share_among_versions(line: CapturedUsage, counts: Mapping[str, int]) -> list[CapturedUsage]:
    """Share a line among the versions of the cards that priced it; one that has a single version stays as it is. Pure.

    Units: `counts` in the line's meter, which add up to its quantity.
    """
    if len(counts) < 2:
        return [replace(line, rate_card_version=version) for version in counts] or [line]
    exact = [price_usage(Unit(line.meter), quantity, line.unit_price) for quantity in counts.values()]
    amounts = share_amount(line.amount, exact)
    return [
        replace(line, rate_card_version=version, quantity=quantity, amount=amount)
        for (version, quantity), amount in zip(counts.items(), amounts, strict=True)
    ]
