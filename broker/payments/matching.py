"""Matching (汇款认领): which invoices a receipt pays, and how much of each. Pure; the same receipts always match alike.

First what names its invoices, then what an earlier payer paid exactly; each in the order of day and serial number, so
that the order of lines in a statement changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from broker.billing.receipts import Payable
from broker.payments.model import AllocationKind, Outcome, Payer, Receipt
from pricing.money import Money


@dataclass(frozen=True)
class Share:
    """A part of a receipt. `fee` is what the bank kept: it settles the invoice beside the amount."""

    kind: AllocationKind
    customer_id: str
    contract_id: str
    invoice_id: str | None
    amount: Money
    fee: Money = field(default_factory=Money.zero)


@dataclass(frozen=True)
class Match:
    """What a receipt is for; an unmatched one has no shares, but a reason, and names what it would fit."""

    outcome: Outcome
    shares: tuple[Share, ...] = ()
    reason: str = ""
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedReceipt:
    """A receipt with the invoices that it names, and what it names beside them that is none of ours, each with why."""

    receipt: Receipt
    named: tuple[Payable, ...] = ()
    slips: tuple[str, ...] = ()


class KnownPayers:
    """Which customers were paid for from an account, or under a name: by the account, where one is told."""

    def __init__(self) -> None:
        self.by_account: defaultdict[str, set[str]] = defaultdict(set)
        self.by_name: defaultdict[str, set[str]] = defaultdict(set)

    def learn(self, payer: Payer, customer_id: str) -> None:
        if payer.account:
            self.by_account[payer.account].add(customer_id)
        if payer.name:
            self.by_name[payer.name].add(customer_id)

    def find(self, payer: Payer) -> set[str]:
        return self.by_account.get(payer.account) or self.by_name.get(payer.name, set())


@dataclass
class OpenBook:
    """What is due of each invoice while receipts are matched one after the other, and who pays for whom."""

    payables: dict[str, Payable]
    payers: KnownPayers
    dues: dict[str, Money] = field(init=False)

    def __post_init__(self) -> None:
        self.dues = {each.invoice_id: each.due for each in self.payables.values()}

    def settle(self, match: Match, payer: Payer) -> None:
        """Note what a match pays, and that this payer pays for the customer."""
        for share in match.shares:
            self.payers.learn(payer, share.customer_id)
            if share.kind == AllocationKind.INVOICE and share.invoice_id is not None:
                self.dues[share.invoice_id] -= share.amount + share.fee

    def list_open(self, customer_ids: Iterable[str], due: Money) -> list[Payable]:
        """List the invoices of customers of which exactly so much is due."""
        whose = set(customer_ids)
        found = (each for each in self.payables.values() if each.customer_id in whose)
        return sorted((each for each in found if self.dues[each.invoice_id] == due), key=lambda each: each.number)


def plan_matches(receipts: Sequence[NamedReceipt], book: OpenBook, tolerance: Money) -> list[Match]:
    """Plan what each receipt is for, in the order in which they are given; `book` is as it will be after.

    `tolerance` is how much a bank may have kept of a transfer on its way; zero: nothing.
    """
    matches: dict[int, Match] = {}
    for names_invoices in (True, False):
        for place in sorted(range(len(receipts)), key=lambda each: _order(receipts[each].receipt)):
            each = receipts[place]
            if bool(each.named or each.slips) != names_invoices:
                continue
            matches[place] = match_receipt(each, book, tolerance)
            book.settle(matches[place], each.receipt.payer)
    return [matches[place] for place in range(len(receipts))]


def _order(receipt: Receipt) -> tuple[str, str, str]:
    return receipt.value_on.isoformat(), receipt.account, receipt.serial


def match_receipt(receipt: NamedReceipt, book: OpenBook, tolerance: Money) -> Match:
    """Match one receipt: by the invoices that it names, or else by who paid exactly what is due of one."""
    if receipt.named:
        return _match_named(receipt, book, tolerance)
    if receipt.slips:
        return _leave("; ".join(receipt.slips))
    return _match_payer(receipt.receipt, book)


def _match_named(receipt: NamedReceipt, book: OpenBook, tolerance: Money) -> Match:
    amount, dues = receipt.receipt.amount, book.dues
    due = sum((dues[each.invoice_id] for each in receipt.named), Money.zero())
    if len({each.customer_id for each in receipt.named}) > 1 and amount != due:
        numbers = ", ".join(each.number for each in receipt.named)
        return _leave(f"names invoices of several customers ({numbers}), and is not what is due of them", receipt.named)
    if amount < due:
        return _match_short(receipt, book, due - amount, tolerance)
    shares = _share_out(receipt.named, dues, due)
    if amount == due:
        return Match(Outcome.MATCHED, shares)
    last = receipt.named[-1]
    over = Share(AllocationKind.CREDIT, last.customer_id, last.contract_id, last.invoice_id, amount - due)
    what = "came too late for an order" if last.is_over else "more than is due"
    return Match(Outcome.OVER, (*shares, over), f"{amount - due} {what}: the customer's credit")


def _match_short(receipt: NamedReceipt, book: OpenBook, short: Money, tolerance: Money) -> Match:
    """Match what is less than is due. A fee is tolerated on the last invoice only, and never all that is due of it."""
    shares = _share_out(receipt.named, book.dues, receipt.receipt.amount)
    last_due = next(each for each in reversed(receipt.named) if book.dues[each.invoice_id].micros)
    if short > tolerance or short >= book.dues[last_due.invoice_id]:
        return Match(Outcome.PARTIAL, shares, f"{short} less than is due")
    *before, last = shares
    return Match(Outcome.UNDER, (*before, replace(last, fee=short)), f"{short} less than is due: the bank's fee")


def _share_out(named: Sequence[Payable], dues: Mapping[str, Money], amount: Money) -> tuple[Share, ...]:
    """Share an amount among invoices in the order in which they are named."""
    shares: list[Share] = []
    left = amount
    for each in named:
        part = min(left, dues[each.invoice_id])
        if part.micros:
            shares.append(Share(AllocationKind.INVOICE, each.customer_id, each.contract_id, each.invoice_id, part))
        left -= part
    return tuple(shares)


def _match_payer(receipt: Receipt, book: OpenBook) -> Match:
    customers = book.payers.find(receipt.payer)
    if not customers:
        return _leave("names no invoice, and nobody has paid from this account or under this name before")
    fitting = book.list_open(customers, receipt.amount)
    if len(fitting) > 1:
        return _leave(f"fits {' and '.join(each.number for each in fitting)}; claim one of them", fitting)
    if not fitting:
        return _leave(f"the payer is known ({', '.join(sorted(customers))}), but exactly this is due of none")
    (only,) = fitting
    share = Share(AllocationKind.INVOICE, only.customer_id, only.contract_id, only.invoice_id, receipt.amount)
    return Match(Outcome.MATCHED, (share,), "by payer and amount")


def _leave(reason: str, candidates: Iterable[Payable] = ()) -> Match:
    return Match(Outcome.UNMATCHED, reason=reason, candidates=tuple(each.invoice_id for each in candidates))
