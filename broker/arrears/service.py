"""Deciding how contracts stand: which are to be decided anew, and each of them under its lock."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Select, func, select

from broker.arrears.facts import find_debts, make_facts, read_extensions, read_facts
from broker.arrears.model import Debt, Standing, decide_standing, plan_deletion
from broker.arrears.tables import ArrearsChange, ArrearsRecord
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.model import ContractTerms
from broker.persistence.database import narrow, wake_dispatcher
from broker.work import Work

# Where data is about to go, or gone: the day of it was announced.
ANNOUNCED = frozenset({ArrearsState.RETENTION, ArrearsState.CLOSED})


async def list_to_refresh(work: Work) -> list[str]:
    """List the contracts whose state is not what facts say any more. Nothing is locked: each is decided again."""
    debts = await find_debts(work)
    concerned = debts.contract_ids | await contracts.list_in_arrears(work)
    if not concerned:
        return []
    terms, extensions = await contracts.load_terms(work, concerned), await read_extensions(work, concerned)
    query = select(ArrearsRecord).where(ArrearsRecord.contract_id.in_(concerned))
    records = {row.contract_id: row for row in await work.session.scalars(query)}
    stale = []
    for contract_id in sorted(terms):
        own, record = terms[contract_id], records.get(contract_id)
        facts = make_facts(own, debts, record, extensions.get(contract_id, ()))
        if not _is_kept(record, decide_standing(facts, local_day(work.now, own.time_zone))):
            stale.append(contract_id)
    return stale


async def refresh(work: Work, contract_id: str) -> Standing:
    """Decide anew how a contract stands, and keep and tell what has changed. Again, it changes nothing.

    Raises: NotFound.
    """
    terms = await contracts.lock_contract(work, contract_id)
    query = select(ArrearsRecord).where(ArrearsRecord.contract_id == contract_id)
    record = await work.session.scalar(query.execution_options(populate_existing=True))
    today = local_day(work.now, terms.time_zone)
    facts = await read_facts(work, terms, record)
    standing = decide_standing(facts, today)
    if _is_kept(record, standing):
        return standing
    record = record or _begin_record(work, terms)
    if standing.state not in ANNOUNCED:
        record.deletion_on = None
    elif record.deletion_on is None:
        record.deletion_on = plan_deletion(facts, today)
    _write(record, standing)
    record.changed_at = work.now
    await work.session.flush()
    await contracts.note_arrears(work, contract_id, standing.state, standing.owed)
    if standing.state != terms.arrears_state:
        await _tell_change(work, terms, record)
    return standing


def _is_kept(record: ArrearsRecord | None, standing: Standing) -> bool:
    """Tell whether a record says what a standing does; none says that all is paid. Pure."""
    if record is None:
        return standing.state == ArrearsState.CURRENT
    told = _tell(record, standing)
    return all(getattr(record, name) == value for name, value in told.items())


def _write(record: ArrearsRecord, standing: Standing) -> None:
    for name, value in _tell(record, standing).items():
        setattr(record, name, value)


def _tell(record: ArrearsRecord, standing: Standing) -> Mapping[str, Any]:
    """Tell what a record is to say; a closed one says still since when it is. Pure."""
    since: date | None = record.since_on if standing.since is None and standing.debts else standing.since
    return {
        "state": standing.state.value,
        "since_on": since,
        "until_on": standing.until,
        "owed_micros": standing.owed.micros,
        "debts": [write_debt(debt) for debt in standing.debts],
    }


def write_debt(debt: Debt) -> dict[str, Any]:
    """Write a debt as JSON."""
    return {
        "kind": debt.kind.value,
        "object_id": debt.object_id,
        "number": debt.number,
        "amount_micros": debt.amount.micros,
        "disputed_micros": debt.disputed.micros,
        "since": debt.since.isoformat(),
    }


def _begin_record(work: Work, terms: ContractTerms) -> ArrearsRecord:
    record = ArrearsRecord(
        id=work.new_id("arr"), contract_id=terms.id, customer_id=terms.customer_id, created_at=work.now
    )
    work.session.add(record)
    return record


async def _tell_change(work: Work, terms: ContractTerms, record: ArrearsRecord) -> None:
    """Keep in the history that the state has changed, and tell it; what waits for it is looked at again."""
    change = ArrearsChange(
        id=work.new_id("arc"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        before=terms.arrears_state.value,
        after=record.state,
        owed_micros=record.owed_micros,
        debts=record.debts,
        until_on=record.until_on,
        deletion_on=record.deletion_on,
        created_at=work.now,
    )
    work.session.add(change)
    await work.session.flush()
    facts = {
        "state": change.after,
        "state_before": change.before,
        "owed": record.owed.format_amount(),
        "until": None if record.until_on is None else record.until_on.isoformat(),
        "deletion_on": None if record.deletion_on is None else record.deletion_on.isoformat(),
        "invoices": [debt["number"] for debt in record.debts if debt["number"] is not None],
    }
    await record_contract_event(work, terms, ContractEventKind.ARREARS_CHANGED, facts, occasion=change.id)
    await wake_dispatcher(work.session)


def select_records(**wanted: str | None) -> Select[ArrearsRecord]:
    """Select how contracts stand that have been behind, all or those with these values in their columns."""
    return narrow(select(ArrearsRecord), **wanted)


async def count_states(work: Work) -> dict[str, int]:
    """Count the contracts in each state of arrears; those that never were behind are not among them."""
    query = select(ArrearsRecord.state, func.count()).group_by(ArrearsRecord.state)
    return dict((await work.session.execute(query)).all())
