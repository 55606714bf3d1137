"""Writing amendments: the record that never changes, and the contract's row, which every reader of terms reads."""

from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select, update

from broker.contracts.amendments import AT_ONCE, Amendment, PlannedAmendment, UnusedGrants
from broker.contracts.model import ContractTerms, GrantStatus
from broker.contracts.numbers import keep_apart
from broker.contracts.service import load_row
from broker.contracts.tables import Contract, ContractAmendment, Grant
from broker.work import Work
from pricing.grants import GrantKind
from pricing.money import Money

LIVING = (GrantStatus.PENDING.value, GrantStatus.ACTIVE.value)


async def apply_change(work: Work, planned: PlannedAmendment) -> ContractTerms:
    """Write what changes into the contract; grants that end with it end with its new end.

    The caller holds the locks of customer and contract. Raises: ContractsOverlap.
    """
    row = await work.session.get_one(Contract, planned.terms.id)
    change = planned.change
    if change.values:
        row.changes = [*row.changes, change.to_json_dict()]
    if planned.changes("ends_at"):
        await _end_grants_with(work, planned.terms, planned.amended.ends_at)
    whole = {name: value for name, value in planned.values.items() if name in AT_ONCE}
    await keep_apart(work, row, **whole)
    return await load_row(work, row)


async def _end_grants_with(work: Work, terms: ContractTerms, ends_at: datetime | None) -> None:
    """Let no grant outlive its contract, and those that lasted as long as it go on to its new end."""
    own = update(Grant).where(Grant.contract_id == terms.id, Grant.status.in_(LIVING))
    if ends_at is None:
        return
    lasts_as_long = Grant.expires_at == terms.ends_at
    ending = own.where((Grant.expires_at > ends_at) | lasts_as_long)
    await work.session.execute(ending.values(expires_at=_no_earlier_than_it_begins(ends_at)))


async def expire_bought_grants(work: Work, contract_id: str, moment: datetime) -> None:
    """Let the grants that were bought under a contract expire at a moment; gifts stay."""
    bought = update(Grant).where(
        Grant.contract_id == contract_id,
        Grant.status.in_(LIVING),
        Grant.kind == GrantKind.BOUGHT.value,
        Grant.expires_at > moment,
    )
    await work.session.execute(bought.values(expires_at=_no_earlier_than_it_begins(moment)))


def _no_earlier_than_it_begins(moment: datetime) -> ColumnElement[datetime]:
    """Make the end of a grant: one that has not begun by then has an empty term, and pays for nothing."""
    return func.greatest(moment, Grant.effective_at)


async def record_amendment(
    work: Work, planned: PlannedAmendment, *, grant_id: str | None, invoice_id: str | None, reason: str | None
) -> Amendment:
    """Record an amendment as it was confirmed."""
    terms = planned.terms
    row = ContractAmendment(
        id=work.new_id("amd"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        effective_at=planned.effective_at,
        changes=planned.describe_changes(),
        added_gpu_seconds=planned.added_gpu_seconds,
        amount_micros=planned.amount.micros,
        unused_grants=planned.unused_grants.value,
        grant_id=grant_id,
        invoice_id=invoice_id,
        reason=reason,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return read_amendment(row)


def read_amendment(row: ContractAmendment) -> Amendment:
    """Read an amendment from its row."""
    return Amendment(
        id=row.id,
        customer_id=row.customer_id,
        contract_id=row.contract_id,
        effective_at=row.effective_at,
        changes=row.changes,
        added_gpu_seconds=row.added_gpu_seconds,
        amount=Money(row.amount_micros),
        unused_grants=UnusedGrants(row.unused_grants),
        grant_id=row.grant_id,
        invoice_id=row.invoice_id,
        reason=row.reason,
        created_at=row.created_at,
    )


def select_amendments(contract_id: str) -> Select[ContractAmendment]:
    """Select the amendments of a contract."""
    return select(ContractAmendment).where(ContractAmendment.contract_id == contract_id)
