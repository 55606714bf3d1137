"""Signing a contract: its grant, its invoice or its credit, and its own queue, in one transaction."""

from dataclasses import dataclass

from broker.billing import service as billing
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.events import ContractEventKind, record_contract_event
from broker.contracts.model import ContractTerms, NewContract, NewGrant
from broker.ledger import service as ledger
from broker.work import Work
from pricing.grants import GrantKind


@dataclass(frozen=True)
class SignedContract:
    """A contract and, where its hours are an advance, the invoice that has to be paid first."""

    terms: ContractTerms
    advance_invoice_id: str | None


async def sign_contract(work: Work, new: NewContract) -> SignedContract:
    """Sign a contract: an advance is credited when its invoice is paid, other committed hours at once.

    Raises: NotFound, CommitmentRefused, InvalidRequest.
    """
    terms = await contracts.create_contract(work, new)
    facts = {"plan": terms.plan.value, "committed_gpu_hours": terms.committed_gpu_hours}
    await record_contract_event(work, terms, ContractEventKind.SIGNED, facts)
    plan_terms = terms.plan_terms
    if plan_terms.queue == "dedicated":
        await capacity.create_dedicated_queue(work, terms)
    if new.committed_gpu_hours == 0:
        return SignedContract(terms, None)
    grant = await contracts.create_grant(work, terms, _plan_grant(work, terms, new))
    if not plan_terms.advance:
        await ledger.credit_grant(work, grant.id)
        return SignedContract(terms, None)
    invoice = await billing.issue_advance_invoice(work, terms, grant)
    await contracts.note_invoice(work, grant.id, invoice.id)
    return SignedContract(terms, invoice.id)


def _plan_grant(work: Work, terms: ContractTerms, new: NewContract) -> NewGrant:
    """Plan the grant of all committed hours, at the contract's price, for the whole of its term."""
    return NewGrant(
        kind=GrantKind.BOUGHT,
        quantity=terms.committed_gpu_hours * 3600,
        unit_price=terms.prices_at(work.now).per_gpu_hour,
        advance=terms.plan_terms.advance,
        rollover=new.rollover,
    )
