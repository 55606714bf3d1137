"""Automatic top-up of a contract's hours."""

from broker.http.edge import BillingReader, feature_router
from broker.signing import top_ups
from broker.signing.purchase_schemas import TopUpIn, TopUpOut

router = feature_router("/contracts", "contracts")


@router.post("/{contract_id}/top-up")
async def set_top_up(work: BillingReader, contract_id: str, body: TopUpIn) -> TopUpOut:
    """Let a contract order more by itself below so many free hours: one order at a time, to be paid as any other."""
    return TopUpOut.of(await top_ups.set_top_up(work, body.read_top_up(contract_id)))


@router.get("/{contract_id}/top-up")
async def get_top_up(work: BillingReader, contract_id: str) -> TopUpOut:
    return TopUpOut.of(await top_ups.get_top_up(work, contract_id))


@router.delete("/{contract_id}/top-up")
async def remove_top_up(work: BillingReader, contract_id: str) -> TopUpOut:
    """Let a contract order nothing more by itself; what it has ordered stays."""
    return TopUpOut.of(await top_ups.remove_top_up(work, contract_id))
