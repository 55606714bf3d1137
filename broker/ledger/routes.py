"""What is left of a contract."""

from broker.http.edge import BillingReader, feature_router
from broker.ledger.balance import read_contract_balance
from broker.ledger.schemas import BalanceOut

router = feature_router("/contracts", "contracts")


@router.get("/{contract_id}/balance")
async def get_balance(work: BillingReader, contract_id: str) -> BalanceOut:
    """Tell what of a contract is available, held and used, as of now."""
    return BalanceOut.of(contract_id, await read_contract_balance(work, contract_id), work.now)
