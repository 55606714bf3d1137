"""Signing contracts."""

from broker.contracts.schemas import ContractOut
from broker.http.edge import FinanceWork, feature_router
from broker.signing import ending, renewals
from broker.signing.schemas import ContractIn, EndIn, RenewalIn, SignedContractOut
from broker.signing.service import SignedContract, sign_contract

router = feature_router("/contracts", "contracts")


@router.post("", status_code=201)
async def create_contract(work: FinanceWork, body: ContractIn) -> SignedContractOut:
    """Sign a contract; a commitment below the plan's minimum is refused."""
    signed = await sign_contract(work, body.read_contract(work.now))
    return SignedContractOut.of_signed(signed, work.now)


@router.post("/{contract_id}/cancel")
async def cancel_contract(work: FinanceWork, contract_id: str) -> ContractOut:
    """Cancel a contract that was made by mistake, before any use; its unpaid orders go with it."""
    return ContractOut.of(await ending.cancel_contract(work, contract_id), work.now)


@router.post("/{contract_id}/end")
async def end_contract(work: FinanceWork, contract_id: str, body: EndIn) -> ContractOut:
    """End a contract at a moment to come; its live jobs pause there."""
    return ContractOut.of(await ending.end_contract(work, contract_id, body.ends_at), work.now)


@router.post("/{contract_id}/renewal")
async def renew_contract(work: FinanceWork, contract_id: str, body: RenewalIn) -> SignedContractOut:
    """Sign the contract that follows one, right after its end and under its number, or decline it (`renew: false`)."""
    if not body.renew:
        return SignedContractOut.of_signed(SignedContract(await renewals.decline_renewal(work, contract_id)), work.now)
    return SignedContractOut.of_signed(await renewals.renew_contract(work, contract_id, **body.read_terms()), work.now)
