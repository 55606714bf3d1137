"""Compensation: units that come back of a grant that is over meanwhile, as a grant of its own for 30 days.

They come back at once, where what was charged is taken back after the grant was over; or when a hold lets them go, that
had them again since its run lost them by our doing. They cost what those cost that they came back of: nothing more
where an advance has paid for them, nothing where they were a gift, and their price as they are used where lost hours
were billed in arrears (decisions 0039 and 0057). The caller holds the contract's lock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms, NewGrant
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.ledger.books.money_books import book_carry
from broker.ledger.grants.earnings import find_surplus
from broker.ledger.grants.leg_uses import read_held_again
from broker.ledger.tables import Capture, HoldLeg
from broker.work import Work
from pricing.grants import GrantKind

TERM = timedelta(days=30)


async def make_compensations(
    work: Work, terms: ContractTerms, captures: Sequence[Capture], quantities: Mapping[int, int], *, are_lost: bool
) -> dict[str, GrantTerms]:
    """Make a grant for what is taken back of each grant that is over; returns them by that one's id.

    `quantities` are by the captures' ids; `are_lost`: they were used, and are borne from now on. The caller credits
    the grants once the units have come back.
    """
    over = {grant.id: grant for grant in await contracts.list_grants(work, terms.id) if grant.is_over_by(work.now)}
    came_back: Counter[str] = Counter()
    for capture in captures:
        if capture.grant_id is not None and capture.grant_id in over:
            came_back[capture.grant_id] += quantities[capture.id]
    return {
        grant_id: await _make(work, terms, over[grant_id], quantity, are_lost=are_lost)
        for grant_id, quantity in came_back.items()
    }


async def compensate_released(work: Work, terms: ContractTerms, released: Sequence[tuple[HoldLeg, int]]) -> bool:
    """Give what was released of legs of grants that are over, as far as these had it again, as compensations.

    Tells whether there was any.
    """
    held_again = await read_held_again(work, [leg.id for leg, _quantity in released])
    came_back: Counter[str] = Counter()
    for leg, quantity in released:
        due = max(0, min(quantity, held_again.get(leg.id, 0) - leg.compensated))
        leg.compensated += due
        came_back[leg.grant_id or ""] += due
    await work.session.flush()
    for grant_id, quantity in (+came_back).items():
        made = await _make(work, terms, await contracts.get_grant(work, grant_id), quantity, are_lost=True)
        await credit_compensation(work, terms, grant_id, made)
    return bool(+came_back)


async def _make(work: Work, terms: ContractTerms, grant: GrantTerms, quantity: int, *, are_lost: bool) -> GrantTerms:
    """Make a grant of the same price and scope, for which what was paid for the other is paid.

    What a correction takes back of hours in arrears was never used: the true-up charges it, so it is free here.
    """
    new = NewGrant(
        kind=GrantKind.COMPENSATION,
        quantity=quantity,
        unit_price=grant.unit_price,
        scope=grant.scope,
        advance=grant.advance,
        arrears=grant.billable and are_lost,
        compensates_id=grant.id,
        effective_at=work.now,
        expires_at=work.now + TERM,
        reason=f"came back of grant {grant.id}, which is over",
    )
    made = await contracts.create_grant(work, terms, new)
    if grant.invoice_id is not None:
        await contracts.note_invoice(work, made.id, grant.invoice_id)
    await contracts.activate_grant(work, made.id)
    return made


async def credit_compensation(work: Work, terms: ContractTerms, grant_id: str, made: GrantTerms) -> None:
    """Credit a compensation with what has come back to the grant that it is for, and with what was paid for that.

    What the invoice of a closed month has earned of it is deferred again after that (`return_earned`).
    """
    own = (made.contract_id, made.customer_id, made.unit, AccountKind.GRANTED)
    source_id = await open_account(work, *own, grant_id=grant_id)
    target_id = await open_account(work, *own, grant_id=made.id)
    moves = move(source_id, target_id, made.unit, made.quantity)
    transfer = NewTransfer("grant_credited", moves, reference=made.id)
    await post_transfer(work, made.contract_id, made.customer_id, transfer)
    if made.advance:
        surplus = await find_surplus(work, terms, await contracts.get_grant(work, grant_id))
        await book_carry(work, terms, grant_id, made, surplus)
