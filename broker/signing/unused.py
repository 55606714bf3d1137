"""What becomes of the unused part of grants where it is not refunded: carried on into another contract, or given up.

What live jobs hold of a grant is never touched. The caller holds the locks of the contracts (decision 0030).
"""

from datetime import datetime, timedelta

from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms, NewGrant, RolloverRule
from broker.ledger import service as ledger
from broker.signing.refunds import refund_unused
from broker.work import Work
from pricing.grants import GrantKind

RENEWAL_WAIT = timedelta(days=1)


async def expire_grants(work: Work, terms: ContractTerms) -> int:
    """Expire all grants of a contract now: what is unused of them is gone. Returns how many there were."""
    active = [each for each in await contracts.list_grants(work, terms.id) if each.status == GrantStatus.ACTIVE]
    for grant in active:
        await ledger.expire_grant(work, grant.id)
    return len(active)


async def carry_grants(work: Work, old: ContractTerms, new: ContractTerms, *, whole: bool = False) -> list[GrantTerms]:
    """Carry the unused part of a contract's grants on into another, each as far as its rollover rule lets.

    With `whole` all of it goes on, whatever the rules say. A carried grant keeps its price, scope and rule, and has a
    term of its own in the other contract. What is not carried stays until its term is over, and then expires.
    """
    carried = []
    for grant in await contracts.list_grants(work, old.id):
        if grant.status != GrantStatus.ACTIVE:
            continue
        unused = await ledger.read_unused(work, grant)
        quantity = unused if whole else grant.rollover.limit(grant.quantity, unused)
        if quantity:
            carried.append(await _carry(work, old, new, grant, quantity))
        if not grant.lasts_at(work.now):
            await ledger.expire_grant(work, grant.id)
    return carried


async def end_term(work: Work, grant_id: str) -> None:
    """End a grant whose term is over: it expires, after what its rule carries on has gone to its contract's renewal.

    One that may be carried on waits for that for a day; it pays for nothing meanwhile. Raises: NotFound.
    """
    grant = await contracts.get_grant(work, grant_id)
    old = await contracts.get_contract(work, grant.contract_id)
    is_carried = grant.status == GrantStatus.ACTIVE and grant.rollover.rule == RolloverRule.CARRY
    if is_carried and old.ends_at is not None and old.ends_at <= work.now:
        successor_id = await contracts.find_successor(work, old.id)
        if successor_id is not None:
            locked = await contracts.lock_contracts(work, {old.id, successor_id})
            await carry_grants(work, locked[old.id], locked[successor_id])
            return
        if work.now < old.ends_at + RENEWAL_WAIT:
            return
    if is_stranded(grant, old):
        await _refund_stranded(work, grant_id)
    await ledger.expire_grant(work, grant_id)


def is_stranded(grant: GrantTerms, terms: ContractTerms) -> bool:
    """Tell whether a compensation for hours that were paid outlasts its contract: nobody could use all its days. Pure.

    What went to another contract in time has left it.
    """
    if terms.ends_at is None or grant.expires_at is None or grant.status != GrantStatus.ACTIVE:
        return False
    return grant.kind == GrantKind.COMPENSATION and grant.advance and terms.ends_at < grant.expires_at


async def _refund_stranded(work: Work, grant_id: str) -> None:
    """Owe the customer back what was paid for a compensation that no contract of its could use."""
    grant = await contracts.get_grant(work, grant_id)
    terms = await contracts.lock_contract(work, grant.contract_id)
    if await ledger.read_unused(work, grant):
        await refund_unused(work, terms, grant)


async def carry_compensation(work: Work, grant_id: str) -> None:
    """Carry a compensation whose contract has ended on into another of its customer: its 30 days go on."""
    grant = await contracts.get_grant(work, grant_id)
    heir_id = await contracts.find_heir(work, grant.contract_id)
    if heir_id is None:
        return
    locked = await contracts.lock_contracts(work, {grant.contract_id, heir_id})
    unused = await ledger.read_unused(work, grant)
    if unused:
        old, new = locked[grant.contract_id], locked[heir_id]
        await _carry(work, old, new, grant, unused, expires_at=grant.expires_at)


async def _carry(
    work: Work,
    old: ContractTerms,
    new: ContractTerms,
    grant: GrantTerms,
    quantity: int,
    *,
    expires_at: datetime | None = None,
) -> GrantTerms:
    """Carry so many units on; they have the other contract's term, or an expiry of their own."""
    taken = await ledger.take_unused(work, grant, "grant_carried", most=quantity)
    made = await contracts.create_grant(
        work,
        new,
        NewGrant(
            kind=grant.kind,
            quantity=taken,
            unit_price=grant.unit_price,
            scope=grant.scope,
            advance=grant.advance,
            arrears=grant.arrears,
            effective_at=max(new.starts_at, min(work.now, old.ends_at or work.now)),
            expires_at=expires_at,
            priority=grant.priority,
            reason=f"carried on from {grant.id}",
            rollover=grant.rollover,
        ),
    )
    if grant.invoice_id is not None:
        await contracts.note_invoice(work, made.id, grant.invoice_id)
    await ledger.credit_grant(work, made.id)
    if grant.advance:
        await ledger.book_carry(work, old, grant.id, made, await ledger.find_surplus(work, old, grant))
    facts = {"grant_id": made.id, "carried_from": grant.id, "unit": grant.unit.value, "quantity": taken}
    await record_contract_event(work, new, ContractEventKind.GRANT_CARRIED, facts)
    return await contracts.get_grant(work, made.id)
