"""Signing a contract: its grant, its invoice or its credit, and its own queue, in one transaction."""

from dataclasses import dataclass

from broker.billing import service as billing
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, NewContract, NewGrant, Rollover
from broker.ledger import service as ledger
from broker.signing.guarantees import require_capacity
from broker.work import Work
from pricing.grants import ALL_GPU_SECONDS, GrantKind, GrantScope
from pricing.usage import Unit

ALL_TOKENS = GrantScope(Unit.TOKENS)


@dataclass(frozen=True)
class SignedContract:
    """A contract and, where its hours or tokens are an advance, the invoices that have to be paid first."""

    terms: ContractTerms
    advance_invoice_id: str | None = None
    tokens_invoice_id: str | None = None


async def sign_contract(work: Work, new: NewContract) -> SignedContract:
    """Sign a contract: an advance is credited when its invoice is paid, other committed hours at once.

    Raises: NotFound, CommitmentRefused, ContractsOverlap, InvalidRequest.
    """
    terms = await contracts.create_contract(work, new)
    facts = {"plan": terms.plan.value, "committed_gpu_hours": terms.committed_gpu_hours}
    await record_contract_event(work, terms, ContractEventKind.SIGNED, facts)
    await ledger.close_past_periods(work, terms)
    await require_capacity(work, terms)
    if terms.has_own_queue:
        await capacity.provide_dedicated_queue(work, terms)
    hours_invoice_id = await _grant(work, terms, ALL_GPU_SECONDS, terms.committed_gpu_hours * 3600, new.rollover)
    tokens_invoice_id = await _grant(work, terms, ALL_TOKENS, terms.committed_tokens, new.rollover)
    return SignedContract(terms, hours_invoice_id, tokens_invoice_id)


async def _grant(work: Work, terms: ContractTerms, scope: GrantScope, quantity: int, rollover: Rollover) -> str | None:
    """Create the grant of all that is committed of a meter, at the contract's price, for the whole of its term.

    Returns the id of the invoice that pays for it, where it is an advance.
    """
    if quantity == 0:
        return None
    new = NewGrant(
        kind=GrantKind.BOUGHT,
        quantity=quantity,
        unit_price=terms.prices_at(work.now).of(scope.meter),
        scope=scope,
        advance=terms.plan_terms.advance,
        rollover=rollover,
    )
    grant = await contracts.create_grant(work, terms, new)
    if not new.advance:
        await ledger.credit_grant(work, grant.id)
        return None
    invoice = await billing.issue_advance_invoice(work, terms, grant)
    await contracts.note_invoice(work, grant.id, invoice.id)
    return invoice.id
