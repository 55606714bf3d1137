"""How a contract comes to its end: cancelled before it was used, or ended at a moment after it was."""

from datetime import datetime

from broker import errors
from broker.billing import service as billing
from broker.contracts import service as contracts
from broker.contracts.amendment.new_amendment import NewAmendment
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.agreed import ContractStatus
from broker.contracts.terms.guarantees import list_guaranteed_months
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.identity.service import lock_customer
from broker.ledger import service as ledger
from broker.signing.amendments import confirm_amendment, preview_amendment
from broker.work import Work


async def cancel_contract(work: Work, contract_id: str) -> ContractTerms:
    """Cancel a contract that was made by mistake: its unpaid orders and its unused grants go with it.

    Cancelling twice changes nothing.
    Raises: NotFound; IllegalTransition, where it was used, holds something for a job, has had GPUs guaranteed for a
    month, or something was paid.
    """
    terms = await contracts.lock_contract(work, contract_id)
    status = terms.status_at(work.now)
    if status == ContractStatus.CANCELLED:
        return terms
    if status == ContractStatus.ENDED or await ledger.has_use(work, terms.id):
        cure = "cancel its jobs first, or end it: POST …/end"
        raise errors.IllegalTransition(
            f"Contract {terms.id} has been used, or jobs hold it: {cure}.", status_before=status
        )
    if any(month < terms.billing_month(work.now) for month in list_guaranteed_months(terms, work.now)):
        raise errors.IllegalTransition(
            f"Contract {terms.id} has had GPUs guaranteed for a billing month: end it instead, POST …/end.",
            status_before=status,
        )
    await _cancel_grants(work, terms)
    await contracts.mark_cancelled(work, terms.id)
    await record_contract_event(work, terms, ContractEventKind.CANCELLED, {})
    return await contracts.get_contract(work, terms.id)


async def _cancel_grants(work: Work, terms: ContractTerms) -> None:
    """Cancel what was ordered and void what was credited. Raises: IllegalTransition, where something was paid."""
    grants = await contracts.list_grants(work, terms.id)
    paid = [grant.invoice_id for grant in grants if grant.advance and grant.credited]
    if paid:
        raise errors.IllegalTransition(
            f"Invoice {paid[0]} of contract {terms.id} is paid: end it, and refund what is unused.", invoice_id=paid[0]
        )
    for grant in grants:
        if grant.status == GrantStatus.PENDING and grant.invoice_id is not None:
            await billing.cancel_order(work, grant.invoice_id)
        elif grant.status == GrantStatus.ACTIVE:
            await ledger.void_grant(work, grant.id, "the contract was cancelled")


async def end_contract(work: Work, contract_id: str, ends_at: datetime) -> ContractTerms:
    """End a contract at a moment to come, before its own end; live jobs pause there, and grants end with it.

    Raises: NotFound, IllegalTransition, InvalidRequest.
    """
    terms = await contracts.get_contract(work, contract_id)
    await lock_customer(work, terms.customer_id)
    preview = await preview_amendment(work, NewAmendment(contract_id, {"ends_at": ends_at}))
    if terms.ends_at is not None and ends_at > terms.ends_at:
        raise errors.invalid_field(
            "ends_at", f"is after its end, {terms.ends_at.isoformat()}; amend it to go on longer"
        )
    await confirm_amendment(work, preview, "ended")
    return await contracts.get_contract(work, contract_id)
