"""Grants that the house gives: promotions and compensations, under a contract, from a day on."""

from dataclasses import dataclass
from datetime import datetime

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.agreed import ContractStatus
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms, NewGrant
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.second_person import Giving, require_second_person
from broker.work import Work
from pricing.catalog import load_gpus
from pricing.grants import DEFAULT_TERM_MONTHS, GrantKind, GrantScope, compute_expiry
from pricing.money import Money, round_to_fen
from pricing.rating import price_usage


@dataclass(frozen=True)
class Gift:
    """What the house gives to a contract. Units: `quantity` in the scope's meter.

    Without a beginning of its own it begins now, or with its contract; without an expiry it is good for 12 months, or
    until the contract ends.
    """

    contract_id: str
    kind: GrantKind
    scope: GrantScope
    quantity: int
    reason: str
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 0


async def give_grant(work: Work, gift: Gift) -> GrantTerms:
    """Give a grant, which can be drawn from at once or from its beginning on.

    Raises: NotFound, InvalidRequest, NoContractInForce, ApprovalNeeded.
    """
    if not gift.kind.is_gift:
        raise errors.invalid_field("kind", "bought hours are ordered: POST /v1/purchases")
    terms = await contracts.lock_contract(work, gift.contract_id)
    require_living(work, terms)
    await check_scope(work, terms, gift.scope)
    effective_at, expires_at = plan_term(work, terms, gift.effective_at, gift.expires_at)
    unit_price = terms.prices_at(effective_at, gift.scope.gpu_type).of(gift.scope.meter)
    worth = round_to_fen(price_usage(gift.scope.meter, gift.quantity, unit_price))
    require_second_person(work, Giving.GRANT, worth)
    new = NewGrant(
        kind=gift.kind,
        quantity=gift.quantity,
        unit_price=unit_price,
        scope=gift.scope,
        effective_at=effective_at,
        expires_at=expires_at,
        priority=gift.priority,
        reason=gift.reason,
    )
    grant = await contracts.create_grant(work, terms, new)
    await ledger.credit_grant(work, grant.id)
    facts = {"grant_id": grant.id, "kind": grant.kind, "unit": grant.unit, "quantity": grant.quantity}
    await record_contract_event(work, terms, ContractEventKind.GRANT_GIVEN, {**facts, "reason": gift.reason})
    return await contracts.get_grant(work, grant.id)


async def void_grant(work: Work, grant_id: str, reason: str) -> tuple[GrantTerms, Money]:
    """Make a grant void as finance decides it; returns with it what its unused part is worth. Again: nothing.

    Raises: NotFound; IllegalTransition; ApprovalNeeded, where that is more than one person may give or take.
    """
    await contracts.lock_contract(work, (await contracts.get_grant(work, grant_id)).contract_id)
    grant = await contracts.get_grant(work, grant_id)
    if grant.status != GrantStatus.ACTIVE:
        return await ledger.void_grant(work, grant_id, reason), Money(0)
    worth = round_to_fen(price_usage(grant.unit, await ledger.read_unused(work, grant), grant.unit_price))
    require_second_person(work, Giving.GRANT, worth)
    return await ledger.void_grant(work, grant_id, reason), worth


def require_living(work: Work, terms: ContractTerms) -> None:
    """Refuse further units for a contract that has ended or was cancelled. Raises: NoContractInForce."""
    status = terms.status_at(work.now)
    if status in {ContractStatus.ENDED, ContractStatus.CANCELLED}:
        message = f"Contract {terms.id} is {status.value}; nothing can be added to it."
        raise errors.NoContractInForce(message, contract_id=terms.id)


async def check_scope(work: Work, terms: ContractTerms, scope: GrantScope) -> None:
    """Check that a scope names a project of the contract's customer and a GPU type that there is.

    Raises: NotFound, InvalidRequest.
    """
    if scope.project_id is not None:
        project = await identity.get_project(work, scope.project_id)
        if project.customer_id != terms.customer_id:
            raise errors.NotFound("project", scope.project_id)
    if scope.gpu_type is not None and scope.gpu_type not in load_gpus():
        known = ", ".join(sorted(load_gpus()))
        raise errors.invalid_field("scope.gpu_type", f"{scope.gpu_type!r} is not in the catalogue; it has: {known}")


def plan_term(
    work: Work,
    terms: ContractTerms,
    effective_at: datetime | None,
    expires_at: datetime | None,
    *,
    months: int = DEFAULT_TERM_MONTHS,
) -> tuple[datetime, datetime]:
    """Plan when a grant begins and expires; it lies within its contract's term. Raises: InvalidRequest."""
    begins = effective_at or max(work.now, terms.starts_at)
    if begins < terms.starts_at:
        raise errors.invalid_field("effective_at", f"is before the contract begins, {terms.starts_at.isoformat()}")
    if terms.ends_at is not None and begins >= terms.ends_at:
        raise errors.invalid_field("effective_at", f"is not before the contract ends, {terms.ends_at.isoformat()}")
    if expires_at is not None and terms.ends_at is not None and expires_at > terms.ends_at:
        message = f"is after the contract's end, {terms.ends_at.isoformat()}; leave it out for that moment at most"
        raise errors.invalid_field("expires_at", message)
    if expires_at is not None and expires_at <= max(begins, work.now):
        raise errors.invalid_field("expires_at", "must be in the future, and after effective_at")
    default = compute_expiry(begins, terms.time_zone, months)
    return begins, expires_at or min(default, terms.ends_at or default)
