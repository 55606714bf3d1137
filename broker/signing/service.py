"""Signing a contract: its grant, its invoice or its credit, and its own queue, in one transaction."""

from dataclasses import dataclass
from datetime import datetime

from broker.billing import service as billing
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, Overage, QuoteGuarantee
from broker.ledger import service as ledger
from broker.work import Work
from pricing.plans import PlanName


@dataclass(frozen=True)
class SignedContract:
    """A contract and, where its hours are an advance, the invoice that has to be paid first."""

    terms: ContractTerms
    advance_invoice_id: str | None


async def sign_contract(
    work: Work,
    *,
    customer_id: str,
    plan: PlanName,
    committed_gpu_hours: int,
    starts_at: datetime,
    ends_at: datetime | None,
    overage: Overage | None,
    quote_guarantee: QuoteGuarantee,
    monthly_budget_micros: int | None,
) -> SignedContract:
    """Sign a contract: an advance is credited when its invoice is paid, other committed hours at once.

    Raises: NotFound, CommitmentRefused, InvalidRequest.
    """
    terms = await contracts.create_contract(
        work,
        customer_id=customer_id,
        plan=plan,
        committed_gpu_hours=committed_gpu_hours,
        starts_at=starts_at,
        ends_at=ends_at,
        overage=overage,
        quote_guarantee=quote_guarantee,
        monthly_budget_micros=monthly_budget_micros,
    )
    plan_terms = terms.card.terms(plan)
    if plan_terms.queue == "dedicated":
        await capacity.create_dedicated_queue(work, terms)
    if committed_gpu_hours == 0:
        return SignedContract(terms, None)
    gpu_seconds = committed_gpu_hours * 3600
    grant = await contracts.create_grant(work, terms, gpu_seconds=gpu_seconds, advance=plan_terms.advance)
    if not plan_terms.advance:
        await ledger.credit_grant(work, grant.id)
        return SignedContract(terms, None)
    invoice = await billing.issue_advance_invoice(work, terms, grant)
    return SignedContract(terms, invoice.id)
