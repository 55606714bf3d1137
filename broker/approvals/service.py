"""Proposing what needs two people, and deciding what was proposed."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Select, select

from broker import errors
from broker.approvals.acts import ACTS, Act, Outcome
from broker.approvals.model import ApprovalStatus, judge_status, require_open, require_other
from broker.approvals.tables import Approval
from broker.errors import FieldError, write_path
from broker.http.shapes import RequestBody
from broker.persistence.database import narrow
from broker.work import Actor, Role, Work
from pricing.money import Money

TRIAL = "trial"


@dataclass(frozen=True)
class Proposal:
    """An act that somebody proposes, with the body that its route takes, as it was sent."""

    act: str
    body: dict[str, Any]


async def propose(work: Work, new: Proposal) -> Approval:
    """Keep an act for another person to approve; it is tried out first, and what that did is taken back.

    Raises: InvalidRequest, NotFound, IllegalTransition: whatever keeps the act from being done.
    """
    act, body = ACTS[new.act], read_body(new)
    outcome = await _try_out(work, act, body)
    row = Approval(
        id=work.new_id("app"),
        customer_id=outcome.customer_id,
        act=new.act,
        body=body.model_dump(mode="json", exclude_unset=True),
        subject_id=outcome.subject_id,
        amount_micros=outcome.amount.micros,
        reason=getattr(body, "reason"),  # noqa: B009  (each act's body has one)
        status=ApprovalStatus.PROPOSED.value,
        proposer=work.actor.id,
        proposer_role=work.actor.role.value,
        created_at=work.now,
        expires_at=work.now + timedelta(days=work.settings.approval_days),
    )
    work.session.add(row)
    await work.session.flush()
    return row


def read_body(new: Proposal) -> RequestBody:
    """Read the body of an act as its route would. Raises: InvalidRequest, naming the field within `body`."""
    try:
        return ACTS[new.act].shape.model_validate(new.body)
    except ValidationError as error:
        faults = [FieldError(f"body.{write_path(each['loc'])}", each["msg"]) for each in error.errors()]
        raise errors.InvalidRequest(f"{faults[0].field}: {faults[0].message}", errors=faults) from error


async def _try_out(work: Work, act: Act, body: RequestBody) -> Outcome:
    """Carry an act out within a savepoint, and take it back: nothing of it stays."""
    await work.session.flush()
    savepoint = await work.session.begin_nested()
    try:
        return await act.carry_out(replace(work, approval=TRIAL, changes=[]), body)
    finally:
        await savepoint.rollback()


async def approve(work: Work, approval_id: str) -> Approval:
    """Carry out what another person proposed, in their name; it comes to what was proposed, or to nothing.

    Raises: NotFound, IllegalTransition, Forbidden; ChangedSince; whatever keeps the act from being done by now.
    """
    row = await _lock_open(work, approval_id)
    require_other(row.proposer, work.actor.id)
    act, body = ACTS[row.act], read_body(Proposal(row.act, row.body))
    proposer = Actor(Role(row.proposer_role), row.proposer)
    outcome = await act.carry_out(replace(work, actor=proposer, approval=row.id, changes=[]), body)
    if outcome.amount.micros != row.amount_micros:
        raise errors.ChangedSince(
            f"It comes to {outcome.amount} by now, and {Money(row.amount_micros)} was proposed; propose it anew."
        )
    _decide(work, row, ApprovalStatus.APPROVED)
    row.result_id = outcome.result_id
    return row


async def reject(work: Work, approval_id: str, reason: str) -> Approval:
    """Reject what was proposed; who proposed it takes it back so. Raises: NotFound, IllegalTransition."""
    row = await _lock_open(work, approval_id)
    _decide(work, row, ApprovalStatus.REJECTED)
    row.decision_reason = reason
    return row


def _decide(work: Work, row: Approval, status: ApprovalStatus) -> None:
    row.status, row.decider, row.decided_at = status.value, work.actor.id, work.now


async def _lock_open(work: Work, approval_id: str) -> Approval:
    row = await work.session.get(Approval, approval_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise errors.NotFound("approval", approval_id)
    require_open(row.id, judge_status(row.status, row.expires_at, work.now))
    return row


async def get_approval(work: Work, approval_id: str) -> Approval:
    """Get a proposal. Raises: NotFound."""
    row = await work.session.get(Approval, approval_id)
    if row is None:
        raise errors.NotFound("approval", approval_id)
    return row


def select_approvals(work: Work, status: ApprovalStatus | None, **wanted: str | None) -> Select[Approval]:
    """Select proposals, all or those with these values in their columns; what has expired is no longer proposed."""
    query = narrow(select(Approval), **wanted)
    if status is None:
        return query
    if status == ApprovalStatus.EXPIRED:
        return query.where(Approval.status == ApprovalStatus.PROPOSED.value, Approval.expires_at <= work.now)
    query = query.where(Approval.status == status.value)
    return query.where(Approval.expires_at > work.now) if status == ApprovalStatus.PROPOSED else query


async def list_waiting(work: Work) -> list[str]:
    """List what waits for another person, by id, the oldest first."""
    query = select_approvals(work, ApprovalStatus.PROPOSED).order_by(Approval.id)
    return [row.id for row in await work.session.scalars(query)]
