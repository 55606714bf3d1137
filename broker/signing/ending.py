"""Ending a contract at a moment before its own end."""

from datetime import datetime

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.amendments import NewAmendment
from broker.contracts.model import ContractTerms
from broker.identity.service import lock_customer
from broker.signing.amendments import confirm_amendment, preview_amendment
from broker.work import Work


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
