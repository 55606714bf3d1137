"""Amendments of contracts: shown first, then confirmed as shown."""

from broker.contracts.amendment_schemas import AmendmentOut
from broker.http.edge import FinanceWork, feature_router
from broker.signing.amendment_schemas import AmendmentIn, AmendmentPreviewOut, ConfirmedAmendmentIn
from broker.signing.amendments import amend_contract, preview_amendment

router = feature_router("/contracts/{contract_id}/amendments", "contracts")


@router.post("/preview")
async def preview_contract_amendment(work: FinanceWork, contract_id: str, body: AmendmentIn) -> AmendmentPreviewOut:
    """Show what an amendment would replace, and what it costs; nothing is written."""
    return AmendmentPreviewOut.of(await preview_amendment(work, body.read_amendment(contract_id)))


@router.post("", status_code=201)
async def create_contract_amendment(work: FinanceWork, contract_id: str, body: ConfirmedAmendmentIn) -> AmendmentOut:
    """Amend a contract as its preview showed it; what was rated before stays as it was."""
    return AmendmentOut.of(await amend_contract(work, body.read_amendment(contract_id), body.preview))
