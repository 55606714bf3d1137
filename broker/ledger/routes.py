"""What is left of a contract."""

from broker.http.edge import BillingCaller, BillingReader, feature_router
from broker.http.shapes import AsOf
from broker.ledger.commitment_schemas import CommitmentOut
from broker.ledger.grants.commitment import read_commitment
from broker.ledger.grants.coverage import read_coverage
from broker.ledger.reading.balance import find_balance, read_balance, recall_balance
from broker.ledger.reading.history import read_contract_balance_at
from broker.ledger.schemas import BalanceOut, CoverageOut

router = feature_router("/contracts", "contracts")


@router.get("/{contract_id}/balance")
async def get_balance(caller: BillingCaller, contract_id: str, as_of: AsOf = None) -> BalanceOut:
    """Tell what of a contract is available, held and used: now, or as it was booked at a moment."""
    if as_of is None:
        found = await caller.read(find_balance(contract_id, seen_by=caller.actor.confined_to))
        now = caller.services.clock()
        balance = recall_balance(caller.services, contract_id, found, now)
        if balance is None:
            async with caller.look_beside() as work:
                balance = await read_balance(work, contract_id, found, now)
        return BalanceOut.of(contract_id, balance, now)
    work = await caller.begin()
    return BalanceOut.of(contract_id, await read_contract_balance_at(work, contract_id, as_of), as_of)


@router.get("/{contract_id}/coverage")
async def get_coverage(work: BillingReader, contract_id: str) -> CoverageOut:
    """Tell what share of its usage a contract's grants pay, and how long what is left of them lasts at this pace."""
    return CoverageOut.of(contract_id, await read_coverage(work, contract_id), work.now)


@router.get("/{contract_id}/commitment")
async def get_commitment(work: BillingReader, contract_id: str) -> CommitmentOut:
    """Tell how far a contract has used the hours that it committed to, and where it will be at this pace."""
    return CommitmentOut.of(contract_id, await read_commitment(work, contract_id), work.now)
