"""Withdrawing an amendment before it takes effect: the contract goes on as if it had never been planned."""

from broker import errors
from broker.billing import service as billing
from broker.contracts import service as contracts
from broker.contracts.amendment.amendable import OF_THE_WHOLE, find_dependent, name_fields
from broker.contracts.amendment.amending import get_amendment, record_withdrawal, take_change_back
from broker.contracts.amendment.amendments import Amendment, AmendmentStatus
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.agreed import ContractStatus
from broker.contracts.terms.changes import TermsChange
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.identity.service import lock_customer
from broker.ledger import service as ledger
from broker.signing.guarantees import require_capacity
from broker.signing.refunds import refund_grant
from broker.work import Work


async def withdraw_amendment(work: Work, contract_id: str, amendment_id: str, reason: str | None) -> Amendment:
    """Withdraw an amendment that is still to come. Again, it changes nothing.

    Hours that it added go with it: an unpaid order is void, what was paid for is refunded.
    Raises: NotFound; IllegalTransition, where it has taken effect, another builds on it, or a renewal does;
    ContractsOverlap; InvalidRequest, where GPUs that it gave up are guaranteed to others by now.
    """
    await lock_customer(work, (await contracts.get_contract(work, contract_id)).customer_id)
    terms = await contracts.lock_contract(work, contract_id)
    amendment = await get_amendment(work, contract_id, amendment_id)
    status = amendment.status_at(work.now)
    if status == AmendmentStatus.WITHDRAWN:
        return amendment
    require_withdrawable(terms, amendment, status, terms.status_at(work.now))
    await _require_no_successor(work, terms, amendment)
    refunded = await _take_hours_back(work, amendment)
    restored = await take_change_back(work, terms, amendment)
    await require_capacity(work, restored, terms)
    await ledger.amend_budget(work, terms, restored)
    await record_withdrawal(work, amendment, reason)
    facts = {"amendment_id": amendment.id, "effective_at": amendment.effective_at.isoformat(), "refunded": refunded}
    await record_contract_event(work, restored, ContractEventKind.AMENDMENT_WITHDRAWN, facts)
    return await get_amendment(work, contract_id, amendment_id)


def require_withdrawable(
    terms: ContractTerms, amendment: Amendment, status: AmendmentStatus, contract_status: ContractStatus
) -> None:
    """Refuse to withdraw what has taken effect, or what a later one builds on. Pure. Raises: IllegalTransition."""
    if status != AmendmentStatus.PLANNED:
        told = (
            f"Amendment {amendment.id} took effect at {amendment.effective_at.isoformat()}; amend the contract again."
        )
        raise errors.IllegalTransition(told, status_before=status)
    if contract_status in {ContractStatus.ENDED, ContractStatus.CANCELLED}:
        told = f"Contract {terms.id} is {contract_status}: nothing of it takes effect any more."
        raise errors.IllegalTransition(told, status_before=status)
    later = _find_later(terms, amendment)
    if later is not None:
        told = f"Amendment {later.amendment_id} of {name_fields(later.names)} builds on it; withdraw that one first."
        raise errors.IllegalTransition(told, status_before=status)


async def _require_no_successor(work: Work, terms: ContractTerms, amendment: Amendment) -> None:
    """Refuse to give a contract its former end back where its renewal begins at the end that it has now.

    Raises: IllegalTransition.
    """
    if all(each["field"] != OF_THE_WHOLE for each in amendment.changes):
        return
    successor_id = await contracts.find_successor(work, terms.id)
    if successor_id is not None:
        told = (
            f"Contract {successor_id}, the renewal, begins at the end that amendment {amendment.id} gave; "
            "cancel it first."
        )
        raise errors.IllegalTransition(told, status_before=AmendmentStatus.PLANNED)


def _find_later(terms: ContractTerms, amendment: Amendment) -> TermsChange | None:
    """Find a change that was planned for the same moment after it, or for a later one, and bears on its terms."""
    ids = [change.amendment_id for change in terms.changes]
    position = ids.index(amendment.id)
    own, later = terms.changes[position], terms.changes[position + 1 :]
    return find_dependent(later, own.names)


async def _take_hours_back(work: Work, amendment: Amendment) -> str | None:
    """Take back the hours that it added. Returns the sum that is refunded for them, in yuan."""
    if amendment.grant_id is None:
        return None
    grant = await contracts.get_grant(work, amendment.grant_id)
    if grant.status == GrantStatus.PENDING and grant.invoice_id is not None:
        await billing.cancel_order(work, grant.invoice_id)
    if grant.status != GrantStatus.ACTIVE:
        return None
    is_refunded = grant.advance and await ledger.read_unused(work, grant)
    refund = (await refund_grant(work, grant.id)).total.format_amount() if is_refunded else None
    await ledger.void_grant(work, grant.id, f"amendment {amendment.id} was withdrawn")
    return refund
