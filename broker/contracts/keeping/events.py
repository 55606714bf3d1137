"""What happened to contracts, in the past tense: signed, amended, ended, a budget used up to a share. Never changed."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on, insert

from broker.contracts.tables import ContractEvent
from broker.contracts.terms.model import ContractTerms
from broker.persistence.database import narrow
from broker.persistence.driver import Command, Statement
from broker.work import Work

RECORD = Statement(insert(ContractEvent).on_conflict_do_nothing().returning(ContractEvent.id))


class ContractEventKind(StrEnum):
    """What can happen to a contract."""

    SIGNED = "signed"
    GRANT_GIVEN = "grant_given"
    GRANT_ORDERED = "grant_ordered"
    GRANT_PAID = "grant_paid"
    GRANT_CARRIED = "grant_carried"
    GRANT_EXPIRING = "grant_expiring"
    GRANT_EXPIRED = "grant_expired"
    GRANT_VOIDED = "grant_voided"
    GRANT_REFUNDED = "grant_refunded"
    GRANT_CANCELLED = "grant_cancelled"
    PAYMENT_CREDITED = "payment_credited"
    INVOICE_VOIDED = "invoice_voided"
    INVOICE_REMINDED = "invoice_reminded"
    AMENDED = "amended"
    AMENDMENT_WITHDRAWN = "amendment_withdrawn"
    CANCELLED = "cancelled"
    RENEWED = "renewed"
    RENEWAL_DECLINED = "renewal_declined"
    END_NEAR = "end_near"
    BUDGET_USED = "budget_used"
    ARREARS_CHANGED = "arrears_changed"
    ARREARS_EXTENDED = "arrears_extended"
    MONEY_ENDING = "money_ending"
    GUARANTEE_SHORT = "guarantee_short"
    GUARANTEE_RESTORED = "guarantee_restored"


async def record_contract_event(
    work: Work,
    terms: ContractTerms,
    kind: ContractEventKind,
    facts: Mapping[str, Any],
    *,
    occasion: str | None = None,
) -> bool:
    """Record that something happened to a contract; tells whether it is new.

    `facts` are JSON. With an `occasion`, such as a month or a grant, there is one such event for each, however often
    it is recorded.
    """
    (found,) = await work.run_together([command_contract_event(work, terms, kind, facts, occasion=occasion)])
    return bool(found)


def command_contract_event(
    work: Work,
    terms: ContractTerms,
    kind: ContractEventKind,
    facts: Mapping[str, Any],
    *,
    occasion: str | None = None,
) -> Command:
    """Make the command that records an event as `record_contract_event` does, to be run together with others."""
    values = {
        "id": work.new_id("coe"),
        "customer_id": terms.customer_id,
        "contract_id": terms.id,
        "kind": kind.value,
        "occasion": occasion,
        "data": dict(facts),
        "created_at": work.now,
    }
    return Command(RECORD, values)


async def read_last_events(
    work: Work, contract_ids: Collection[str], kinds: Collection[ContractEventKind], *, of: str
) -> list[ContractEvent]:
    """Read the last event of these kinds of each contract, for each value that its facts have of a name."""
    value = ContractEvent.data[of].as_string()
    query = (
        select(ContractEvent)
        .where(ContractEvent.contract_id.in_(contract_ids), ContractEvent.kind.in_([kind.value for kind in kinds]))
        .ext(distinct_on(ContractEvent.contract_id, value))
        .order_by(ContractEvent.contract_id, value, ContractEvent.id.desc())
    )
    return list(await work.session.scalars(query))


async def list_events_since(
    work: Work, since: datetime, kinds: Collection[str], *, without: Select[Any]
) -> list[ContractEvent]:
    """List what has happened to contracts since a moment, of these kinds, in the order in which it was recorded.

    `without` selects the ids of those that are known already.
    """
    query = select(ContractEvent).where(ContractEvent.created_at > since, ContractEvent.kind.in_(list(kinds)))
    return list(await work.session.scalars(query.where(ContractEvent.id.not_in(without)).order_by(ContractEvent.id)))


async def list_events_of_invoice(
    work: Work, contract_id: str, kind: ContractEventKind, invoice_id: str
) -> list[ContractEvent]:
    """List what happened to a contract that was about one of its invoices, the newest first."""
    query = select_contract_events(contract_id, kind).where(ContractEvent.data["invoice_id"].as_string() == invoice_id)
    return list(await work.session.scalars(query.order_by(ContractEvent.id.desc())))


def select_contract_events(contract_id: str, kind: ContractEventKind | None) -> Select[ContractEvent]:
    """Select what happened to a contract, all or one kind of it."""
    return narrow(select(ContractEvent), contract_id=contract_id, kind=kind)
