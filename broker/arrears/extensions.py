"""Time that finance gives to who has promised to pay: up to a day it is no worse than grace, and no day counts.

What was given can be shortened again: days that are over stay as they were, since states and notices followed from
them.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from broker import errors
from broker.arrears.facts import read_extensions
from broker.arrears.model import ExtensionKind
from broker.arrears.service import refresh
from broker.arrears.tables import ArrearsExtension
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.model import ContractTerms
from broker.work import Work

DAY, LONGEST_EXTENSION = timedelta(days=1), timedelta(days=366)


@dataclass(frozen=True)
class NewExtension:
    """Time that finance gives a contract: up to the end of a day in its time zone."""

    contract_id: str
    kind: ExtensionKind
    last_on: date
    reason: str


async def extend(work: Work, new: NewExtension) -> ArrearsExtension:
    """Give a contract in arrears time, or end what was given earlier: days that are over stay as they were.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    state = (await refresh(work, new.contract_id)).state
    terms = await contracts.lock_contract(work, new.contract_id)
    if state in {ArrearsState.CURRENT, ArrearsState.CLOSED}:
        told = "in no arrears" if state == ArrearsState.CURRENT else "closed, and that is final"
        raise errors.IllegalTransition(f"Contract {terms.id} is {told}: nothing is extended.", status_before=state)
    today = local_day(work.now, terms.time_zone)
    latest = today + LONGEST_EXTENSION
    if new.kind == ExtensionKind.SHORTENED:
        latest = await _find_given(work, new.contract_id, today) - DAY
    if not today <= new.last_on <= latest:
        raise errors.invalid_field("until", f"must be a day from {today} to {latest}, in {terms.time_zone}")
    row = _add(work, terms, new, today)
    await work.session.flush()
    facts = {"until": new.last_on.isoformat(), "kind": new.kind.value}
    await record_contract_event(work, terms, ContractEventKind.ARREARS_EXTENDED, facts, occasion=row.id)
    await refresh(work, terms.id)
    return row


async def _find_given(work: Work, contract_id: str, today: date) -> date:
    """Find the last day that a contract has been given. Raises: InvalidRequest, where no later one is left to take."""
    extensions = (await read_extensions(work, {contract_id})).get(contract_id, ())
    last = max((each.last for each in extensions), default=today)
    if last <= today:
        raise errors.invalid_field("kind", "no time was given beyond today that could be shortened")
    return last


def _add(work: Work, terms: ContractTerms, new: NewExtension, today: date) -> ArrearsExtension:
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
    return row
