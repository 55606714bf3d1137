"""What units of a grant are worth as they are used, leave it or come back, so that all parts add up to the whole. Pure.

What is deferred of a grant is at every moment the price of what is not earned of it (decision 0039).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.contracts.terms.model import GrantTerms
from broker.ledger.books.model import AccountKind
from broker.ledger.books.money_books import MoneyMove
from pricing.money import Money
from pricing.tax import Tax


def is_deferred(grant: GrantTerms) -> bool:
    """Tell whether a grant's usage earns what an invoice of its own has asked for."""
    return grant.advance and grant.credited and grant.invoice_id is not None


@dataclass(frozen=True)
class Worth:
    """What units of a grant are worth, without tax, and the tax on that."""

    net: Money
    tax: Money


def price_leaving(grant: GrantTerms, tax: Tax, unearned: int, leaving: int) -> Worth:
    """Price units that leave a grant: what is not earned of it was worth, less what the rest is. Pure.

    So all parts of a grant that leave it, one after the other, are worth just what they would be together.
    Units: the grant's own; to the fen.
    """
    before, after = (price_unearned(grant, count) for count in (unearned, unearned - leaving))
    return Worth(tax.take_out(before) - tax.take_out(after), tax.compute(before) - tax.compute(after))


def price_unearned(grant: GrantTerms, count: int) -> Money:
    """Price what is not earned of a grant, to the fen: more than all of it never comes back. Units: the grant's."""
    return grant.price(max(0, count))


def price_signed(grant: GrantTerms, count: int) -> Money:
    """Price units of a grant, below zero where more came back than was used. Units: the grant's; to the fen."""
    price = grant.price(abs(count))
    return price if count >= 0 else -price


def plan_earned(deferred: Mapping[str, Money], left: Mapping[str, Money], by_advances: Money) -> list[MoneyMove]:
    """Plan what is earned of each grant, so that what is left deferred is the price of what is left of it. Pure."""
    earned = {grant_id: deferred[grant_id] - rest for grant_id, rest in left.items()}
    moves = [
        MoneyMove(AccountKind.REVENUE, AccountKind.DEFERRED_REVENUE, amount, grant_id)
        for grant_id, amount in earned.items()
    ]
    rounded = by_advances - sum(earned.values(), Money.zero())
    return [*moves, MoneyMove(AccountKind.REVENUE, AccountKind.ROUNDING, rounded)]


def share_returned(grant: GrantTerms, tax: Tax, missing: Money, quantities: Mapping[str, int]) -> dict[str, Money]:
    """Share what is to be deferred again of a grant among the months that take units back for it.

    Each has the price of its units, without tax, and the last one what is left over of a fen.
    """
    months = sorted(quantities)
    shares: dict[str, Money] = {}
    for month in months:
        is_last = month == months[-1]
        shares[month] = missing if is_last else min(missing, tax.take_out(grant.price(quantities[month])))
        missing -= shares[month]
    return shares
