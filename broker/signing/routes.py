"""Signing contracts."""

from broker.contracts.schemas import ContractOut
from broker.http.edge import FinanceWork, feature_router
from broker.signing.schemas import ContractIn, SignedContractOut
from broker.signing.service import sign_contract

router = feature_router("/contracts", "contracts")


@router.post("", status_code=201)
async def create_contract(work: FinanceWork, body: ContractIn) -> SignedContractOut:
    """Sign a contract; a commitment below the plan's minimum is refused."""
    signed = await sign_contract(work, body.read_contract(work.now))
    contract = ContractOut.of(signed.terms, work.now)
    return SignedContractOut(**contract.model_dump(), advance_invoice_id=signed.advance_invoice_id)
