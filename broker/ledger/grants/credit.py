"""Crediting a grant: from then on its units can be held."""

from broker.contracts import service as contracts
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.work import Work


async def credit_grant(work: Work, grant_id: str) -> None:
    """Credit a grant's units to its contract, once. The caller holds the contract's lock."""
    grant = await contracts.activate_grant(work, grant_id)
    if grant is None:
        return
    unit = grant.unit
    source_id = await open_account(work, grant.contract_id, grant.customer_id, unit, AccountKind.ISSUED)
    target_id = await open_account(
        work, grant.contract_id, grant.customer_id, unit, AccountKind.GRANTED, grant_id=grant.id
    )
    moves = move(source_id, target_id, unit, grant.quantity)
    transfer = NewTransfer("grant_credited", moves, reference=grant.id)
    await post_transfer(work, grant.contract_id, grant.customer_id, transfer)
