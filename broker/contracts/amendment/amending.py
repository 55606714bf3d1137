"""Writing amendments: the record that never changes, and the contract's row, which every reader of terms reads."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, select

from broker import errors
from broker.contracts.amendment.amendable import OF_THE_WHOLE
from broker.contracts.amendment.amendments import Amendment, PlannedAmendment
from broker.contracts.amendment.grant_terms import GrantEnd, end_grants_with, give_ends_back
from broker.contracts.amendment.new_amendment import UnusedGrants
from broker.contracts.keeping.numbers import keep_apart
from broker.contracts.service import load_row
from broker.contracts.tables import AmendmentWithdrawal, Contract, ContractAmendment
from broker.contracts.terms.changes import TermsChange
from broker.contracts.terms.model import ContractTerms
from broker.work import Work
from pricing.money import Money


async def apply_change(
    work: Work, planned: PlannedAmendment, change: TermsChange
) -> tuple[ContractTerms, list[GrantEnd]]:
    """Write what changes into the contract, in the order of the moments; grants that end with it end with its new end.

    Returns the terms and the ends that grants had. The caller holds the locks of customer and contract.
    Raises: ContractsOverlap.
    """
    row = await work.session.get_one(Contract, planned.terms.id)
    earlier = sum(1 for each in row.changes if datetime.fromisoformat(each["effective_at"]) <= change.effective_at)
    row.changes = [*row.changes[:earlier], change.to_json_dict(), *row.changes[earlier:]]
    ended: list[GrantEnd] = []
    if planned.changes(OF_THE_WHOLE):
        ended = await end_grants_with(work, planned.terms, planned.amended.ends_at)
        row.ends_at = planned.amended.ends_at
    await keep_apart(work, row)
    return await load_row(work, row), ended


async def take_change_back(work: Work, terms: ContractTerms, amendment: Amendment) -> ContractTerms:
    """Take a change out of a contract as if it had never been planned, and give grants the ends back that they had.

    The caller holds the locks of customer and contract. Raises: ContractsOverlap.
    """
    row = await work.session.get_one(Contract, terms.id)
    own = [each for each in row.changes if each.get("amendment_id") == amendment.id]
    row.changes = [each for each in row.changes if each not in own]
    ends = [GrantEnd.from_json_dict(each) for each in amendment.grant_ends]
    await give_ends_back(work, ends, moved_at=amendment.created_at)
    if any(OF_THE_WHOLE in each.get("of_the_whole", ()) for each in own):
        before = amendment.find_before(OF_THE_WHOLE)
        row.ends_at = None if before is None else datetime.fromisoformat(before)
        await end_grants_with(work, terms, row.ends_at)
    await keep_apart(work, row)
    return await load_row(work, row)


async def record_amendment(
    work: Work,
    planned: PlannedAmendment,
    amendment_id: str,
    *,
    grant_id: str | None,
    invoice_id: str | None,
    grant_ends: Sequence[GrantEnd],
    reason: str | None,
) -> Amendment:
    """Record an amendment as it was confirmed."""
    terms = planned.terms
    row = ContractAmendment(
        id=amendment_id,
        customer_id=terms.customer_id,
        contract_id=terms.id,
        effective_at=planned.effective_at,
        changes=planned.describe_changes(),
        added_gpu_seconds=planned.added_gpu_seconds,
        amount_micros=planned.amount.micros,
        unused_grants=planned.unused_grants.value,
        grant_ends=[each.to_json_dict() for each in grant_ends],
        grant_id=grant_id,
        invoice_id=invoice_id,
        reason=reason,
        created_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    return _read_amendment(row, None)


async def get_amendment(work: Work, contract_id: str, amendment_id: str) -> Amendment:
    """Get an amendment of a contract. Raises: NotFound."""
    row = await work.session.get(ContractAmendment, amendment_id)
    if row is None or row.contract_id != contract_id:
        raise errors.NotFound("amendment", amendment_id)
    (amendment,) = await read_amendments(work, [row])
    return amendment


async def read_amendments(work: Work, rows: Sequence[ContractAmendment]) -> list[Amendment]:
    """Read amendments from their rows, with when they were withdrawn."""
    of_these = AmendmentWithdrawal.amendment_id.in_([row.id for row in rows])
    withdrawn = {
        each.amendment_id: each for each in await work.session.scalars(select(AmendmentWithdrawal).where(of_these))
    }
    return [_read_amendment(row, withdrawn.get(row.id)) for row in rows]


async def record_withdrawal(work: Work, amendment: Amendment, reason: str | None) -> None:
    """Record that an amendment was withdrawn before it took effect."""
    work.session.add(
        AmendmentWithdrawal(
            amendment_id=amendment.id,
            customer_id=amendment.customer_id,
            contract_id=amendment.contract_id,
            reason=reason,
            withdrawn_at=work.now,
        )
    )
    await work.session.flush()


def _read_amendment(row: ContractAmendment, withdrawal: AmendmentWithdrawal | None) -> Amendment:
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
        grant_ends=row.grant_ends,
        withdrawn_at=None if withdrawal is None else withdrawal.withdrawn_at,
    )


def select_amendments(contract_id: str) -> Select[ContractAmendment]:
    """Select the amendments of a contract."""
    return select(ContractAmendment).where(ContractAmendment.contract_id == contract_id)
