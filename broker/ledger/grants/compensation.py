"""Compensation: units that come back of a grant whose term is over meanwhile, as a grant of their own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms, GrantTerms, NewGrant
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer
from broker.ledger.books.model import AccountKind, move
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.grants import GrantKind

TERM = timedelta(days=30)


async def make_compensations(
    work: Work, terms: ContractTerms, captures: Sequence[Capture], quantities: Mapping[int, int]
) -> dict[str, GrantTerms]:
    """Make a grant of 30 days for what is taken back of each grant that is over; returns them by that one's id.

    It has the same price and scope, and what was paid for the other is paid for it. `quantities` are by the captures'
    ids. The caller holds the contract's lock, and credits them once the units have come back.
    """
    over = {grant.id: grant for grant in await contracts.list_grants(work, terms.id) if grant.has_ended_by(work.now)}
    came_back: Counter[str] = Counter()
    for capture in captures:
        if capture.grant_id is not None and capture.grant_id in over:
            came_back[capture.grant_id] += quantities[capture.id]
    return {grant_id: await _make(work, terms, over[grant_id], came_back[grant_id]) for grant_id in came_back}


async def _make(work: Work, terms: ContractTerms, grant: GrantTerms, quantity: int) -> GrantTerms:
    new = NewGrant(
        kind=GrantKind.COMPENSATION,
        quantity=quantity,
        unit_price=grant.unit_price,
        scope=grant.scope,
        advance=grant.advance,
        effective_at=work.now,
        expires_at=work.now + TERM,
        reason=f"came back of grant {grant.id}, whose term is over",
    )
    made = await contracts.create_grant(work, terms, new)
    if grant.invoice_id is not None:
        await contracts.note_invoice(work, made.id, grant.invoice_id)
    await contracts.activate_grant(work, made.id)
    return made


async def credit_compensation(work: Work, grant_id: str, made: GrantTerms) -> None:
    """Credit a compensation with what has come back to the grant that it is for."""
    own = (made.contract_id, made.customer_id, made.unit, AccountKind.GRANTED)
    source_id = await open_account(work, *own, grant_id=grant_id)
    target_id = await open_account(work, *own, grant_id=made.id)
    moves = move(source_id, target_id, made.unit, made.quantity)
    transfer = NewTransfer("grant_credited", moves, reference=made.id)
    await post_transfer(work, made.contract_id, made.customer_id, transfer)
