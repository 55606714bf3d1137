"""Contracts: signed at the prices of their first day, looked up, locked while their balances move."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, func, literal, or_, select

from broker import errors
from broker.clock import local_day
from broker.contracts.cards.rate_cards import (
    follow_cards,
    get_listed_card,
    get_rate_card,
    rate_card_on,
    read_followed,
    read_published,
    select_card_version,
)
from broker.contracts.keeping.endings import find_successor, list_ending, mark_cancelled, stop_renewing
from broker.contracts.keeping.grants import (
    activate_grant,
    create_grant,
    end_grant,
    fetch_grants,
    get_grant,
    list_expired_grants,
    list_grants,
    list_grants_ending,
    list_paid_by,
    load_grants,
    note_invoice,
    owes_advance,
    require_paid_advance,
    resize_grant,
    select_credited_ids,
    select_ended_grants,
)
from broker.contracts.keeping.heirs import find_heir, select_stranded_compensations
from broker.contracts.keeping.numbers import has_number, keep_apart
from broker.contracts.keeping.rows import to_terms
from broker.contracts.tables import Contract
from broker.contracts.terms.agreed import TrueUpRule, make_no_true_up
from broker.contracts.terms.model import DEFAULT_OVERAGE, CardChoice, ContractTerms, NewContract, Overage
from broker.identity.service import lock_customer
from broker.persistence.database import narrow
from broker.work import Work
from pricing.grants import compute_expiry
from pricing.plans import CommitmentNotAllowed, CommitmentTooSmall, PlanName, check_commitment
from pricing.rate_card import NoPriceInForce, RateCard
from pricing.tax import TaxMode

__all__ = [
    "activate_grant",
    "choose_in_force",
    "create_contract",
    "create_grant",
    "end_grant",
    "fetch_grants",
    "find_heir",
    "find_successor",
    "get_contract",
    "get_contract_in_force",
    "get_grant",
    "get_rate_card",
    "is_in_force",
    "list_committed",
    "list_ending",
    "list_expired_grants",
    "list_grants",
    "list_grants_ending",
    "list_in_force",
    "list_paid_by",
    "load_grants",
    "load_row",
    "load_rows",
    "load_terms",
    "lock_contract",
    "lock_contracts",
    "mark_cancelled",
    "note_invoice",
    "owes_advance",
    "rate_card_on",
    "require_paid_advance",
    "resize_grant",
    "select_card_version",
    "select_contracts",
    "select_credited_ids",
    "select_ended_grants",
    "select_stranded_compensations",
    "stop_renewing",
    "with_published_cards",
]


async def create_contract(work: Work, new: NewContract) -> ContractTerms:
    """Write one contract at the prices in force on its first day.

    Raises: NotFound, CommitmentRefused, ContractsOverlap, InvalidRequest.
    """
    await lock_customer(work, new.customer_id)
    zone = new.time_zone or work.settings.time_zone
    card = await _get_card_at_signing(work, new, zone)
    _check_terms(card, new)
    ends_at = new.ends_at or _compute_end(new, zone)
    contract_id = work.new_id("con")
    row = Contract(
        id=contract_id,
        customer_id=new.customer_id,
        plan=new.plan.value,
        committed_gpu_hours=new.committed_gpu_hours,
        rate_card_version=card.version,
        card_choice=new.card_choice.value,
        overage=(new.overage or DEFAULT_OVERAGE[new.plan]).value,
        quote_guarantee=new.quote_guarantee.value,
        monthly_budget_micros=new.monthly_budget_micros,
        time_zone=zone,
        billing_day=new.billing_day,
        tax_mode=new.tax.mode.value,
        tax_rate=None if new.tax.mode == TaxMode.NONE else new.tax.rate,
        starts_at=new.starts_at,
        ends_at=ends_at,
        contract_number=new.contract_number or contract_id,
        purchase_order=new.purchase_order,
        committed_tokens=new.committed_tokens,
        payment_days=new.payment_days,
        budget_hard_stop=new.budget_hard_stop,
        credit_limit_micros=new.credit_limit_micros,
        arrears_grace_days=new.arrears.grace_days,
        arrears_suspended_days=new.arrears.suspended_days,
        arrears_retention_days=new.arrears.retention_days,
        auto_renew=new.auto_renew,
        true_up=new.true_up.value,
        renewed_from_id=new.renewed_from_id,
        changes=[],
        created_at=work.now,
    )
    await keep_apart(work, row)
    return await load_row(work, row)


def _compute_end(new: NewContract, time_zone: str) -> datetime | None:
    """Compute the end that nobody named: what commits to a volume commits to it for 12 months."""
    commits = new.committed_gpu_hours or new.committed_tokens
    return compute_expiry(new.starts_at, time_zone) if commits else None


async def _get_card_at_signing(work: Work, new: NewContract, time_zone: str) -> RateCard:
    try:
        first_day = local_day(new.starts_at, time_zone)
        if new.rate_card_version is None:
            return await rate_card_on(work, first_day)
    except (NoPriceInForce, OverflowError) as error:
        raise errors.invalid_field("starts_at", f"{error}; choose a later day") from error
    return await _get_pinned_card(work, new.rate_card_version, new.card_choice, first_day)


async def _get_pinned_card(work: Work, version: str, choice: CardChoice, first_day: date) -> RateCard:
    if choice == CardChoice.NEWEST:
        cure = "leave it out, or pin it with rate_card: pinned"
        raise errors.invalid_field("rate_card_version", f"the newest card is chosen day by day; {cure}")
    try:
        card = (await get_listed_card(work, version)).card
    except errors.NotFound as error:
        raise errors.invalid_field("rate_card_version", f"{error.detail} GET /v1/rate-cards lists them.") from error
    if card.effective_from > first_day:
        told = f"rate card {version} is in force from {card.effective_from}, after the contract's first day"
        raise errors.invalid_field("rate_card_version", told)
    return card


def _check_terms(card: RateCard, new: NewContract) -> None:
    try:
        check_commitment(card.terms(new.plan), new.plan, new.committed_gpu_hours)
    except (CommitmentTooSmall, CommitmentNotAllowed) as error:
        minimum = card.terms(new.plan).minimum_commit_gpu_hours
        message = str(error)
        raise errors.CommitmentRefused(
            message, errors=[errors.FieldError("committed_gpu_hours", message)], minimum_gpu_hours=minimum
        ) from error
    if new.plan == PlanName.ON_DEMAND and new.overage == Overage.BLOCK:
        raise errors.invalid_field("overage", "an on_demand contract has no grant, so block would let nothing run")
    if new.committed_tokens and not card.terms(new.plan).advance:
        raise errors.invalid_field("committed_tokens", "only prepaid buys tokens at signing; others order them later")
    if new.true_up == TrueUpRule.YEARLY and (card.terms(new.plan).advance or not new.committed_gpu_hours):
        raise make_no_true_up()
    if new.ends_at is not None and new.ends_at <= new.starts_at:
        raise errors.invalid_field("ends_at", "must be after starts_at")


async def get_contract(work: Work, contract_id: str) -> ContractTerms:
    """Get a contract's terms. Raises: NotFound."""
    row = await work.session.get(Contract, contract_id)
    if row is None:
        raise errors.NotFound("contract", contract_id)
    return await load_row(work, row)


async def lock_contract(work: Work, contract_id: str) -> ContractTerms:
    """Lock a contract: everything that moves its balances takes its turn here. Raises: NotFound."""
    return (await lock_contracts(work, {contract_id}))[contract_id]


async def lock_contracts(work: Work, contract_ids: Collection[str]) -> dict[str, ContractTerms]:
    """Lock contracts in the order of their ids, all that a transaction will lock: so no two wait for each other.

    Returns their terms by id. Raises: NotFound.
    """
    query = _under_lock(select(Contract).where(Contract.id.in_(contract_ids)).order_by(Contract.id))
    locked = {row.id: row for row in await work.session.scalars(query)}
    for contract_id in contract_ids:
        if contract_id not in locked:
            raise errors.NotFound("contract", contract_id)
    return {terms.id: terms for terms in await load_rows(work, list(locked.values()))}


def _under_lock(query: Select[Contract]) -> Select[Contract]:
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)


async def get_contract_in_force(work: Work, customer_id: str, contract_id: str | None) -> ContractTerms:
    """Get the contract that a customer's job runs under: the one named, or the only one in force.

    Raises: NotFound; NoContractInForce, where there is none, or several and none was named.
    """
    rows = (await work.session.scalars(_select_candidates(work, customer_id, contract_id))).all()
    return choose_in_force(await load_rows(work, rows), contract_id, work.now)


def _select_candidates(work: Work, customer_id: str, contract_id: str | None) -> Select[Contract]:
    """Select the contract named, or all that are in force; one of another customer is not found."""
    own = select(Contract).where(Contract.customer_id == customer_id)
    if contract_id is not None:
        return own.where(Contract.id == contract_id)
    return own.where(is_in_force(literal(work.now)))


def is_in_force(moment: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Make the condition that a contract is in force at a moment; `ContractTerms.covers` asks the same of its terms."""
    begun = (Contract.starts_at <= moment) & Contract.cancelled_at.is_(None)
    return begun & or_(Contract.ends_at.is_(None), Contract.ends_at > moment)


async def list_in_force(work: Work, customer_id: str) -> list[ContractTerms]:
    """List a customer's contracts in force, the oldest first."""
    query = _select_candidates(work, customer_id, None).order_by(Contract.starts_at, Contract.id)
    return await load_rows(work, (await work.session.scalars(query)).all())


def choose_in_force(candidates: Sequence[ContractTerms], contract_id: str | None, moment: datetime) -> ContractTerms:
    """Choose the contract that a use runs under: the one named, or the only one that is in force. Pure.

    `candidates` may have others beside these.
    Raises: NotFound; NoContractInForce, where there is none, or several and none was named.
    """
    candidates = [terms for terms in candidates if contract_id in {None, terms.id}]
    if contract_id is None:
        candidates = [terms for terms in candidates if terms.covers(moment)]
    if not candidates and contract_id is not None:
        raise errors.NotFound("contract", contract_id)
    if not candidates:
        raise errors.NoContractInForce("No contract of this customer is in force; sign one first.")
    if len(candidates) > 1:
        ids = sorted(terms.id for terms in candidates)
        raise errors.NoContractInForce(
            f"Several contracts are in force ({', '.join(ids)}); name one in contract_id.",
            errors=[errors.FieldError("contract_id", "several contracts are in force; name one")],
        )
    (terms,) = candidates
    if not terms.covers(moment):
        raise errors.NoContractInForce(f"Contract {terms.id} is not in force now.", contract_id=terms.id)
    return terms


async def list_committed(work: Work) -> list[ContractTerms]:
    """List the contracts that have committed to hours at any time, the oldest first; none that was cancelled."""
    committed = (Contract.committed_gpu_hours > 0) | (func.jsonb_array_length(Contract.changes) > 0)
    query = select(Contract.id).where(committed, Contract.cancelled_at.is_(None))
    found = await load_terms(work, set(await work.session.scalars(query)))
    return [found[contract_id] for contract_id in sorted(found)]


async def with_published_cards(work: Work, terms: ContractTerms) -> ContractTerms:
    """Answer terms that know every published card, for an amendment that chooses among them."""
    known = {card.version for card in terms.cards}
    others = (card for card in await read_published(work) if card.version not in known)
    return replace(terms, cards=(*terms.cards, *others))


def select_contracts(*, contract_number: str | None = None, **wanted: str | None) -> Select[Contract]:
    """Select the contracts that the actor sees, all or those with these values in their columns, or with a number."""
    found = narrow(select(Contract), **wanted)
    return found if contract_number is None else found.where(has_number(contract_number))


async def load_terms(work: Work, contract_ids: set[str]) -> dict[str, ContractTerms]:
    """Load the terms of several contracts, by their ids."""
    rows = (await work.session.scalars(select(Contract).where(Contract.id.in_(contract_ids)))).all()
    return {terms.id: terms for terms in await load_rows(work, rows)}


async def load_row(work: Work, row: Contract) -> ContractTerms:
    """Load the terms that a row of `contracts` holds, with the rate cards that it follows."""
    (terms,) = await load_rows(work, [row])
    return terms


async def load_rows(work: Work, rows: Sequence[Contract], versions: Sequence[str] | None = None) -> list[ContractTerms]:
    """Load the terms that rows of `contracts` hold: of however many with at most one statement for their cards.

    None, where the `versions` of the published cards came with them. A card that this process has not read yet takes
    one more.
    """
    published = await read_followed(work, rows, versions)
    return [to_terms(row, await follow_cards(work, row, published), work.now) for row in rows]
