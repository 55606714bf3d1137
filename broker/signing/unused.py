"""What becomes of the unused part of grants: refunded, carried on into another contract, or given up.

What live jobs hold of a grant is never touched. The caller holds the locks of the contracts (decision 0030).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from broker import errors
from broker.billing import service as billing
from broker.billing.given_back import find_left
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms, NewGrant, RolloverRule
from broker.ledger import service as ledger
from broker.work import Work
from pricing.grants import GrantKind
from pricing.money import Money
from pricing.tax import Tax, TaxMode

RENEWAL_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class Refund:
    """What was taken out of a grant and is owed back for it. Units: `quantity` in the grant's own.

    `credited` is what credit notes have given back of it already, without tax.
    """

    grant: GrantTerms
    quantity: int
    net: Money
    tax: Money
    credited: Money

    @property
    def total(self) -> Money:
        return self.net + self.tax


async def refund_grant(work: Work, grant_id: str) -> Refund:
    """Refund what is unused of a grant that was bought and paid, at its price, rounded once; gifts never.

    The units leave the grant; what jobs hold of it comes back to it, and may be refunded later.
    Raises: NotFound, IllegalTransition.
    """
    found = await contracts.get_grant(work, grant_id)
    terms = await contracts.lock_contract(work, found.contract_id)
    grant = await contracts.get_grant(work, grant_id)
    reason = _find_hindrance(grant, expired=not _lasts(work, grant))
    if reason is None and await ledger.read_unused(work, grant) == 0:
        reason = "nothing of it is unused"
    if reason is not None:
        raise _make_refusal(grant, reason)
    refund = await _refund(work, terms, grant)
    if refund.credited.micros and not refund.total.micros:
        raise _make_refusal(grant, "credit notes have given back what was paid for it; void it, to take its units")
    return refund


def _make_refusal(grant: GrantTerms, reason: str) -> errors.IllegalTransition:
    return errors.IllegalTransition(f"Grant {grant.id} is not refunded: {reason}.", status_before=grant.status.value)


def _find_hindrance(grant: GrantTerms, *, expired: bool) -> str | None:
    if grant.kind.is_gift:
        return f"it is {grant.kind.value}, and gifts never are"
    if not grant.advance:
        return "it was not paid ahead"
    if not grant.credited:
        return "it is not paid"
    if grant.status != GrantStatus.ACTIVE or expired:
        return f"it is {'expired' if expired else grant.status.value}"
    return None


def _lasts(work: Work, grant: GrantTerms) -> bool:
    return grant.expires_at is None or work.now < grant.expires_at


async def _refund(work: Work, terms: ContractTerms, grant: GrantTerms) -> Refund:
    refund = await _price(work, grant, await ledger.read_unused(work, grant))
    await ledger.take_unused(work, grant, "grant_refunded")
    owed = {"net": refund.net, "tax": refund.tax, "credited": refund.credited}
    await ledger.book_refund(work, terms, grant.id, **owed, reference=grant.id)
    sums = {"net": refund.net, "tax": refund.tax, "total": refund.total}
    facts = {"grant_id": grant.id, "unit": grant.unit.value, "quantity": refund.quantity}
    facts |= {name: money.format_amount() for name, money in sums.items()}
    await record_contract_event(work, terms, ContractEventKind.GRANT_REFUNDED, facts)
    return refund


async def _price(work: Work, grant: GrantTerms, quantity: int) -> Refund:
    """Price what is to be refunded, with the tax by which the grant's invoice was taxed, as far as it is deferred.

    Credit notes and refunds together give back no more than was paid.
    """
    assert grant.invoice_id is not None, "a grant that was paid ahead has an invoice"
    invoice = await billing.get_invoice(work, grant.invoice_id)
    tax = Tax(TaxMode(invoice.tax_mode), invoice.tax_rate or Decimal(0))
    ((_grant, unearned),) = await ledger.read_unearned(work, [grant])
    worth = ledger.price_leaving(grant, tax, unearned, quantity)
    left, deferred = await find_left(work, invoice), await ledger.read_deferred(work, grant.id)
    net = min(worth.net, deferred, left.net)
    return Refund(grant, quantity, net, min(worth.tax, left.tax), credited=min(worth.net, deferred) - net)


async def list_refundable(work: Work, terms: ContractTerms) -> list[Refund]:
    """List what would be refunded of a contract's grants, were it done now; nothing is changed."""
    return [
        await _price(work, grant, unused)
        for grant in await contracts.list_grants(work, terms.id)
        if _find_hindrance(grant, expired=not _lasts(work, grant)) is None
        and (unused := await ledger.read_unused(work, grant))
    ]


async def refund_grants(work: Work, terms: ContractTerms) -> list[Refund]:
    """Refund what is unused of all grants of a contract that were bought and paid."""
    return [await _refund(work, terms, each.grant) for each in await list_refundable(work, terms)]


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
        if not _lasts(work, grant):
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
        await _refund(work, terms, grant)


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
    return await contracts.get_grant(work, made.id)
