"""Decisions of finance about usage in quarantine: judged again, and charged where it is believed by now; or dismissed.

What is in quarantine stays there as it came; its decision stands beside it, for ever.
"""

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import select

from broker import errors
from broker.contracts import service as contracts
from broker.jobs.running.locked_run import lock_any_run
from broker.metering.events.model import UsageCloudEvent
from broker.metering.outside.measured import EVENT
from broker.metering.outside.places import Place, read_places
from broker.metering.service import judge_again
from broker.metering.tables import QuarantineDecision, QuarantinedUsage
from broker.metering.taking.intake import Reported, charge_reported
from broker.work import Work


class DecisionKind(StrEnum):
    """What was decided about an event in quarantine."""

    CHARGED = "charged"
    DISMISSED = "dismissed"


async def dismiss_usage(work: Work, quarantine_id: str, reason: str) -> QuarantinedUsage:
    """Dismiss usage in quarantine: nobody will be charged for it. Raises: NotFound, IllegalTransition."""
    row = await _get_row(work, quarantine_id)
    await (contracts.lock_contract(work, row.contract_id) if row.run_id is None else lock_any_run(work, row.run_id))
    await _require_undecided(work, row)
    await _decide(work, row, DecisionKind.DISMISSED, reason)
    return row


async def retry_usage(work: Work, quarantine_id: str) -> QuarantinedUsage:
    """Judge usage in quarantine again by what is known now, and charge it where it is believed.

    Where it is not, it stays where it is, undecided. Raises: NotFound, IllegalTransition.
    """
    row = await _get_row(work, quarantine_id)
    is_charged = await (_retry_measured(work, row) if row.run_id is None else _retry_of_run(work, row, row.run_id))
    if is_charged:
        await _decide(work, row, DecisionKind.CHARGED, None)
    return row


async def list_decisions(work: Work, quarantine_ids: Collection[str]) -> dict[str, QuarantineDecision]:
    """List the decisions about some events in quarantine, by the events' ids there."""
    query = select(QuarantineDecision).where(QuarantineDecision.quarantine_id.in_(quarantine_ids))
    return {row.quarantine_id: row for row in await work.session.scalars(query)}


async def _get_row(work: Work, quarantine_id: str) -> QuarantinedUsage:
    row = await work.session.get(QuarantinedUsage, quarantine_id)
    if row is None:
        raise errors.NotFound("usage in quarantine", quarantine_id)
    return row


async def _require_undecided(work: Work, row: QuarantinedUsage) -> None:
    """Refuse to decide twice. The caller holds the lock of the run, or of the contract: two decisions take turns."""
    decided = await work.session.get(QuarantineDecision, row.id)
    if decided is not None:
        raise errors.IllegalTransition(
            f"It was {decided.decision} at {decided.decided_at.isoformat()}; a decision stands for ever.",
            status_before=decided.decision,
        )


async def _decide(work: Work, row: QuarantinedUsage, kind: DecisionKind, reason: str | None) -> None:
    decision = QuarantineDecision(
        quarantine_id=row.id,
        customer_id=row.customer_id,
        decision=kind.value,
        reason=reason,
        decided_by=work.actor.id,
        decided_at=work.now,
    )
    work.session.add(decision)
    await work.session.flush()


async def _retry_measured(work: Work, row: QuarantinedUsage) -> bool:
    """Charge what a source measured, where its contract covers it by now; tells whether it does."""
    event = EVENT.validate_python(row.event)
    terms = await contracts.lock_contract(work, row.contract_id)
    await _require_undecided(work, row)
    place = (await read_places(work, [event])).find(event)
    if terms.ends_before(event.time) or not isinstance(place, Place) or place.terms.id != terms.id:
        return False
    await charge_reported(work, terms, [Reported(0, event, row.event, place)])
    return True


async def _retry_of_run(work: Work, row: QuarantinedUsage, run_id: str) -> bool:
    """Charge an interval of a run, where it is believed by now; tells whether it is."""
    locked = await lock_any_run(work, run_id)
    await _require_undecided(work, row)
    return await judge_again(work, locked, UsageCloudEvent.model_validate(row.event)) is None
