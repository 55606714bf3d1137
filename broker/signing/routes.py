"""Signing contracts."""

from broker.contracts.schemas import ContractOut
from broker.http.edge import AdminWork, feature_router
from broker.signing.schemas import ContractIn, SignedContractOut
from broker.signing.service import sign_contract
from pricing.money import Money

router = feature_router("/contracts", "contracts")


@router.post("", status_code=201)
async def create_contract(work: AdminWork, body: ContractIn) -> SignedContractOut:
    """Sign a contract; a commitment below the plan's minimum is refused."""
    budget = body.monthly_budget
    signed = await sign_contract(
        work,
        customer_id=body.customer_id,
        plan=body.plan,
        committed_gpu_hours=body.committed_gpu_hours,
        starts_at=body.starts_at or work.now,
        ends_at=body.ends_at,
        overage=body.overage,
        quote_guarantee=body.quote_guarantee,
        monthly_budget_micros=None if budget is None else Money.from_decimal(budget).micros,
    )
    return SignedContractOut(**ContractOut.of(signed.terms).model_dump(), advance_invoice_id=signed.advance_invoice_id)
