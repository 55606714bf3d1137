"""Resizing a grant by hand: units come to it from where grants come from, or go back there as far as they are free."""

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.ledger.books.money_books import MoneyMove, post_money, read_deferred
from broker.ledger.grants.earnings import find_left_to_earn
from broker.ledger.grants.grant_ends import read_unused
from broker.ledger.grants.worth import is_deferred
from broker.work import Work


async def resize_grant(work: Work, terms: ContractTerms, grant: GrantTerms, change: int, *, reference: str) -> None:
    """Give an active grant units, or take free ones where the change is below zero. The contract is locked.

    What a paid grant gets or loses so is deferred at its price, as the rest is, and costs the house as much: the
    difference to what is deferred, so that roundings of many changes never add up.
    Units: the grant's own. Raises: IllegalTransition, InvalidRequest.
    """
    if grant.status != GrantStatus.ACTIVE:
        raise errors.IllegalTransition(
            f"Grant {grant.id} is {grant.status}; only an active one can be adjusted.", status_before=grant.status
        )
    free = await read_unused(work, grant)
    if -change > free or -change >= grant.quantity:
        raise errors.invalid_field("quantity", f"takes too much: {free} are free; to take back all, make it void")
    await contracts.resize_grant(work, grant.id, change)
    own = (terms.id, terms.customer_id, grant.unit)
    source_id = await open_account(work, *own, AccountKind.ISSUED)
    target_id = await open_account(work, *own, AccountKind.GRANTED, grant_id=grant.id)
    moves = move(source_id, target_id, grant.unit, change)
    await post_transfer(work, terms.id, terms.customer_id, NewTransfer("grant_adjusted", moves, reference=reference))
    if is_deferred(grant):
        left = await find_left_to_earn(work, terms, [grant])
        worth = left[grant.id] - await read_deferred(work, grant.id)
        moved = MoneyMove(AccountKind.DEFERRED_REVENUE, AccountKind.GIFT_COSTS, worth, grant.id)
        await post_money(work, terms, "grant_adjusted", [moved], reference=reference)
