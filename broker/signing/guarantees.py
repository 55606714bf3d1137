"""Whether there are enough GPUs for what a contract is to be guaranteed, besides what is guaranteed to others."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from broker import errors
from broker.capacity import readiness
from broker.contracts import service as contracts
from broker.contracts.terms.agreed import GuaranteedGpus
from broker.contracts.terms.guarantees import GuaranteedPeriod, count_most, is_covered, list_guaranteed_periods
from broker.contracts.terms.model import ContractTerms
from broker.work import Work

GUARANTEE_TURN = 7_203_117


async def require_capacity(work: Work, terms: ContractTerms, before: ContractTerms | None = None) -> None:
    """Require that all pools together have the GPUs that a contract is guaranteed from now on, at any time.

    What the contract was guaranteed `before` is not asked for again: less of it is always granted. One that renews
    itself is asked for with its renewals, which nobody would be there to refuse; a renewal for its own term, since it
    was foreseen. Signings take turns here, so that no two are promised the same. Raises: InvalidRequest.
    """
    had = [] if before is None else list_with_renewals(before, work.now)
    is_renewal = before is None and terms.renewed_from_id is not None
    own = [each for each in list_guaranteed_periods(terms, work.now, None) if not is_covered(each, had)]
    with_renewals = [each for each in list_with_renewals(terms, work.now) if not is_covered(each, had)]
    if not with_renewals:
        return
    await work.take_turn(GUARANTEE_TURN)
    others = [each for each in await contracts.list_guaranteed(work) if each.id != terms.id]
    renewed = await contracts.list_renewed(work, [each.id for each in others]) | {terms.renewed_from_id}
    sold = [
        period
        for each in foresee_renewals(others, renewed, work.now)
        for period in list_guaranteed_periods(each, work.now, None)
    ]
    there = await readiness.count_gpus(work)
    check_capacity(own, sold, there)
    if not is_renewal:
        check_renewals(with_renewals, sold, there)


def list_with_renewals(terms: ContractTerms, now: datetime) -> list[GuaranteedPeriod]:
    """List what a contract is guaranteed from now on, and its renewals where it renews itself."""
    (foreseen,) = foresee_renewals([terms], (), now)
    return list_guaranteed_periods(foreseen, now, None)


def foresee_renewals(
    others: Sequence[ContractTerms], renewed: Collection[str | None], now: datetime
) -> list[ContractTerms]:
    """Foresee that contracts which renew themselves go on: what they are guaranteed is not sold from their end on.

    Pure. One that is `renewed` already, on whatever terms, ends with its term; so does one that ended unrenewed.
    """
    return [replace(each, ends_at=None) if _goes_on(each, renewed, now) else each for each in others]


def _goes_on(terms: ContractTerms, renewed: Collection[str | None], now: datetime) -> bool:
    has_ended = terms.ends_at is not None and terms.ends_at <= now
    return terms.auto_renew and not has_ended and terms.id not in renewed


def check_capacity(own: Iterable[GuaranteedPeriod], sold: Iterable[GuaranteedPeriod], there: dict[str, int]) -> None:
    """Check that at no time more GPUs of a type are guaranteed than there are. Pure. Raises: InvalidRequest."""
    known = list(sold)
    for period in own:
        guaranteed, total = period.guaranteed, there.get(period.guaranteed.gpu_type, 0)
        rivals = [each for each in known if _is_rival(each, period)]
        taken = count_most(rivals)
        if taken + guaranteed.gpus > total:
            raise errors.invalid_field("guaranteed_gpus", _explain(guaranteed, taken, total, there))


def check_renewals(own: Iterable[GuaranteedPeriod], sold: Iterable[GuaranteedPeriod], there: dict[str, int]) -> None:
    """Check what is guaranteed with all renewals of a contract as `check_capacity` does. Pure.

    Raises: InvalidRequest, for its renewing itself.
    """
    try:
        check_capacity(own, sold, there)
    except errors.InvalidRequest as refused:
        why = refused.errors[0].message
        cure = "or let it end with its term"
        raise errors.invalid_field("auto_renew", f"its renewals cannot be guaranteed: it {why}, {cure}") from None


def _is_rival(other: GuaranteedPeriod, own: GuaranteedPeriod) -> bool:
    begins_before = own.ends_at is None or other.begins_at < own.ends_at
    ends_after = other.ends_at is None or other.ends_at > own.begins_at
    return other.guaranteed.gpu_type == own.guaranteed.gpu_type and begins_before and ends_after


def _explain(wanted: GuaranteedGpus, taken: int, total: int, there: dict[str, int]) -> str:
    if not total:
        return f"no pool has {wanted.gpu_type}; there are: {', '.join(sorted(there)) or 'none'}"
    left = total - taken
    cure = f"ask for at most {left}, or add machines first" if left > 0 else "add machines first"
    asked = f"{wanted.gpus} {wanted.gpu_type}"
    if not taken:
        return f"asks for {asked}; all pools together have {total}: {cure}"
    held = f"{taken} are guaranteed to others in that time"
    return f"asks for {asked}; all pools together have {total}, of which {held}: {cure}"
