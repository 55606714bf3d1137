"""Amendments of contracts: shown first, then confirmed as shown."""

from broker.contracts.amendment_schemas import AmendmentOut
from broker.http.edge import FinanceWork, feature_router
from broker.signing.amendment_schemas import AmendmentIn, AmendmentPreviewOut, ConfirmedAmendmentIn, WithdrawalIn
from broker.signing.amendments import amend_contract, preview_amendment
from broker.signing.withdrawal import withdraw_amendment

router = feature_router("/contracts/{contract_id}/amendments", "contracts")


@router.post("/preview")
async def preview_contract_amendment(work: FinanceWork, contract_id: str, body: AmendmentIn) -> AmendmentPreviewOut:
    """Show what an amendment would replace, and what it costs; nothing is written."""
    return AmendmentPreviewOut.of(await preview_amendment(work, body.read_amendment(contract_id)))


@router.post("", status_code=201)
async def create_contract_amendment(work: FinanceWork, contract_id: str, body: ConfirmedAmendmentIn) -> AmendmentOut:
    """Amend a contract as its preview showed it; what was rated before stays as it was."""
    amendment = await amend_contract(work, body.read_amendment(contract_id), body.preview)
    return AmendmentOut.of(amendment, work.now)


@router.post("/{amendment_id}/withdraw")
async def withdraw_contract_amendment(
    work: FinanceWork, contract_id: str, amendment_id: str, body: WithdrawalIn
) -> AmendmentOut:
    """Withdraw an amendment before it takes effect; hours that it added go with it, and what was paid is refunded."""
    return AmendmentOut.of(await withdraw_amendment(work, contract_id, amendment_id, body.reason), work.now)
