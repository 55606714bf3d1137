"""Refunds: what is unused of hours that were paid ahead is owed back, at the price at which they were paid.

What live jobs hold of a grant is never touched (decision 0030).
"""

from dataclasses import dataclass
from decimal import Decimal

from broker import errors
from broker.billing import service as billing
from broker.billing.given_back import find_left, lock_advance
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms
from broker.ledger import service as ledger
from broker.second_person import Giving, require_second_person
from broker.work import Work
from pricing.money import Money
from pricing.tax import Tax, TaxMode


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
    reason = _find_hindrance(grant, expired=not grant.lasts_at(work.now))
    if reason is None and await ledger.read_unused(work, grant) == 0:
        reason = "nothing of it is unused"
    if reason is not None:
        raise errors.IllegalTransition(f"Grant {grant.id} is not refunded: {reason}.", status_before=grant.status.value)
    require_second_person(work, Giving.REFUND, (await _price_unused(work, grant)).total)
    return await refund_unused(work, terms, grant)


def _find_hindrance(grant: GrantTerms, *, expired: bool) -> str | None:
    if grant.kind.is_gift:
        return f"it is {grant.kind.value}, and gifts never are"
    if not grant.advance:
        return "it was not paid ahead"
    if not grant.credited:
        return "it is not paid"
    if grant.status != GrantStatus.ACTIVE or expired:
        return f"its status is {'expired' if expired else grant.status.value}"
    return None


async def refund_unused(work: Work, terms: ContractTerms, grant: GrantTerms) -> Refund:
    """Take what is unused out of a grant that was paid, and owe it back. The caller holds the contract's lock."""
    assert grant.invoice_id is not None, "a grant that was paid ahead has an invoice"
    refund = await _price_unused(work, grant)
    await ledger.take_unused(work, grant, "grant_refunded")
    owed = {"net": refund.net, "tax": refund.tax, "credited": refund.credited}
    await ledger.book_refund(work, terms, grant.id, **owed, reference=grant.id)
    sums = {"net": refund.net, "tax": refund.tax, "total": refund.total}
    facts = {"grant_id": grant.id, "unit": grant.unit.value, "quantity": refund.quantity}
    facts |= {name: money.format_amount() for name, money in sums.items()}
    await record_contract_event(work, terms, ContractEventKind.GRANT_REFUNDED, facts)
    return refund


async def _price_unused(work: Work, grant: GrantTerms) -> Refund:
    """Price what is unused of a grant now, under the lock of its invoice."""
    assert grant.invoice_id is not None, "a grant that was paid ahead has an invoice"
    await lock_advance(work, grant.invoice_id)
    return await _price(work, grant, await ledger.read_unused(work, grant))


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
        if _find_hindrance(grant, expired=not grant.lasts_at(work.now)) is None
        and (unused := await ledger.read_unused(work, grant))
    ]


async def refund_grants(work: Work, terms: ContractTerms) -> list[Refund]:
    """Refund what is unused of all grants of a contract that were bought and paid."""
    in_order = sorted(await list_refundable(work, terms), key=lambda each: each.grant.invoice_id or "")
    return [await refund_unused(work, terms, each.grant) for each in in_order]
