"""Time that finance gives to who has promised to pay: up to a day it is no worse than grace, and no day counts."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from broker import errors
from broker.arrears.service import refresh
from broker.arrears.tables import ArrearsExtension
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.arrears import ArrearsState
from broker.work import Work

LONGEST_EXTENSION = timedelta(days=366)


class ExtensionKind(StrEnum):
    """Why finance gives time: the customer has promised to pay, or finance lets it have longer."""

    PROMISE_TO_PAY = "promise_to_pay"
    EXTENSION = "extension"


@dataclass(frozen=True)
class NewExtension:
    """Time that finance gives a contract: up to the end of a day in its time zone."""

    contract_id: str
    kind: ExtensionKind
    last_on: date
    reason: str


async def extend(work: Work, new: NewExtension) -> ArrearsExtension:
    """Give a contract in arrears time. Raises: NotFound, IllegalTransition, InvalidRequest."""
    state = (await refresh(work, new.contract_id)).state
    terms = await contracts.lock_contract(work, new.contract_id)
    if state in {ArrearsState.CURRENT, ArrearsState.CLOSED}:
        told = "in no arrears" if state == ArrearsState.CURRENT else "closed, and that is final"
        raise errors.IllegalTransition(f"Contract {terms.id} is {told}: nothing is extended.", status_before=state)
    today = local_day(work.now, terms.time_zone)
    latest = today + LONGEST_EXTENSION
    if not today <= new.last_on <= latest:
        raise errors.invalid_field("until", f"must be a day from {today} to {latest}, in {terms.time_zone}")
    row = ArrearsExtension(
        id=work.new_id("arx"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        kind=new.kind.value,
        first_on=today,
        last_on=new.last_on,
        reason=new.reason,
        author=work.actor.id,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    facts = {"until": new.last_on.isoformat(), "kind": new.kind.value}
    await record_contract_event(work, terms, ContractEventKind.ARREARS_EXTENDED, facts, occasion=row.id)
    await refresh(work, terms.id)
    return row
