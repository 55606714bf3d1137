"""Contracts as other features ask for them: which is in force, and all that the rooms below answer."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, literal, or_, select

from broker import errors
from broker.contracts.cards.rate_cards import get_rate_card, rate_card_on, select_card_version
from broker.contracts.keeping.arrears import (
    find_stopping,
    has_living_contract,
    list_current,
    list_in_arrears,
    list_stopping,
    note_arrears,
)
from broker.contracts.keeping.creation import create_contract
from broker.contracts.keeping.endings import (
    find_successor,
    list_ending,
    list_renewed,
    mark_cancelled,
    select_ended,
    stop_renewing,
)
from broker.contracts.keeping.grants import (
    activate_grant,
    create_grant,
    end_grant,
    fetch_grants,
    get_grant,
    list_expired_grants,
    list_grants,
    list_grants_ending,
    list_grants_of,
    list_paid_by,
    list_with_paid_grants,
    load_grants,
    note_invoice,
    owes_advance,
    require_paid_advance,
    resize_grant,
    select_credited_ids,
    select_ended_grants,
)
from broker.contracts.keeping.heirs import find_heir, select_stranded_compensations
from broker.contracts.keeping.loading import (
    find_guaranteed,
    get_contract,
    list_committed,
    list_customers_of,
    list_guaranteed,
    load_row,
    load_rows,
    load_terms,
    lock_contract,
    lock_contracts,
    read_guaranteed,
    with_published_cards,
)
from broker.contracts.keeping.numbers import has_number
from broker.contracts.tables import Contract
from broker.contracts.terms.model import ContractTerms
from broker.persistence.database import narrow
from broker.work import Work

__all__ = [
    "Contract",
    "activate_grant",
    "choose_in_force",
    "count_contracts",
    "create_contract",
    "create_grant",
    "end_grant",
    "fetch_grants",
    "find_guaranteed",
    "find_heir",
    "find_stopping",
    "find_successor",
    "get_contract",
    "get_contract_in_force",
    "get_grant",
    "get_rate_card",
    "has_living_contract",
    "is_in_force",
    "list_committed",
    "list_contract_numbers",
    "list_current",
    "list_customers_of",
    "list_ending",
    "list_expired_grants",
    "list_grants",
    "list_grants_ending",
    "list_grants_of",
    "list_guaranteed",
    "list_ids_after",
    "list_in_arrears",
    "list_in_force",
    "list_paid_by",
    "list_renewed",
    "list_stopping",
    "list_with_paid_grants",
    "load_grants",
    "load_row",
    "load_rows",
    "load_terms",
    "lock_contract",
    "lock_contracts",
    "mark_cancelled",
    "note_arrears",
    "note_invoice",
    "owes_advance",
    "rate_card_on",
    "read_guaranteed",
    "require_paid_advance",
    "resize_grant",
    "select_card_version",
    "select_contracts",
    "select_credited_ids",
    "select_ended",
    "select_ended_grants",
    "select_stranded_compensations",
    "stop_renewing",
    "with_published_cards",
]


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


async def count_contracts(work: Work) -> int:
    """Count all contracts that there are."""
    return int(await work.session.scalar(select(func.count()).select_from(Contract)) or 0)


async def list_ids_after(work: Work, last_id: str, limit: int) -> list[str]:
    """List so many ids of contracts that come after one, in their order."""
    query = select(Contract.id).where(Contract.id > last_id).order_by(Contract.id).limit(limit)
    return list(await work.session.scalars(query))


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


async def list_contract_numbers(work: Work, contract_ids: Collection[str]) -> dict[str, str]:
    """List the numbers of contracts, by their ids."""
    query = select(Contract.id, Contract.contract_number).where(Contract.id.in_(contract_ids))
    return dict((await work.session.execute(query)).all())


def select_contracts(*, contract_number: str | None = None, **wanted: str | None) -> Select[Contract]:
    """Select the contracts that the actor sees, all or those with these values in their columns, or with a number."""
    found = narrow(select(Contract), **wanted)
    return found if contract_number is None else found.where(has_number(contract_number))
