"""Every difference between our books and what Stripe has, with the cure of each. Pure. Units: fen."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from broker.payments.stripe.model import StripeStatus


class DifferenceKind(StrEnum):
    """What differs."""

    MISSING_THERE = "missing_there"
    MISSING_HERE = "missing_here"
    TWICE = "twice"
    NOT_OURS = "not_ours"
    TOTAL = "total"
    REMAINING = "remaining"
    PAID = "paid"
    STATUS = "status"
    STUCK = "stuck"
    BALANCE = "balance"
    REFUND = "refund"
    EVENT = "event"
    WAITING = "waiting"


CURES = {
    DifferenceKind.MISSING_THERE: "it was deleted at Stripe; collect the invoice by a bank transfer",
    DifferenceKind.MISSING_HERE: "it says that it is of an invoice which was not sent; void it at Stripe",
    DifferenceKind.TWICE: "one invoice is there twice; void the one at Stripe that this broker does not know",
    DifferenceKind.NOT_OURS: "somebody made it at Stripe by hand; book it by hand, or void it there",
    DifferenceKind.TOTAL: "its lines were changed at Stripe; void it there, and collect it by a bank transfer",
    DifferenceKind.REMAINING: "it is looked at again now; where it stays, something was changed by hand at Stripe",
    DifferenceKind.PAID: "it is fetched again now; where it stays, a payment was taken back at Stripe by hand",
    DifferenceKind.STATUS: "it is fetched again now; where it stays, it was changed by hand at Stripe",
    DifferenceKind.STUCK: "mend what it says, then retry it: `broker stripe retry INVOICE`",
    DifferenceKind.BALANCE: "set the customer's credit balance at Stripe to zero: our books keep all credit",
    DifferenceKind.REFUND: "it was refunded at Stripe by hand; tell the broker by a refund of the same amount",
    DifferenceKind.WAITING: "it is sent again by itself; mend what it says: the key, the network",
    DifferenceKind.EVENT: "it is tried again by itself; the log of the broker says why it failed",
}


@dataclass(frozen=True)
class Difference:
    """A difference, with what our books and what Stripe says."""

    kind: DifferenceKind
    invoice_id: str | None
    stripe_id: str | None
    ours: str
    theirs: str

    @property
    def cure(self) -> str:
        return CURES[self.kind]


@dataclass(frozen=True)
class Ours:
    """An invoice that we have sent. `paid_fen` is what our books have of it from Stripe."""

    invoice_id: str
    stripe_id: str | None
    status: StripeStatus
    asked_fen: int
    due_fen: int
    paid_fen: int
    settled_outside: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Theirs:
    """An invoice that Stripe has. `our_id` is what its metadata say."""

    stripe_id: str
    our_id: str | None
    status: StripeStatus
    total_fen: int
    remaining_fen: int
    paid_fen: int


def compare_invoices(ours: Sequence[Ours], theirs: Sequence[Theirs]) -> list[Difference]:
    """Compare all invoices of both sides, each way."""
    there = {each.stripe_id: each for each in theirs}
    known = {each.stripe_id for each in ours}
    found = [difference for each in ours for difference in _compare(each, there)]
    return found + list(_find_unknown(theirs, known, {each.invoice_id for each in ours}))


def _compare(ours: Ours, there: dict[str, Theirs]) -> Iterator[Difference]:
    def differ(kind: DifferenceKind, here: object, other: object) -> Difference:
        return Difference(kind, ours.invoice_id, ours.stripe_id, str(here), str(other))

    if ours.problem is not None:
        yield differ(DifferenceKind.STUCK, ours.problem, ours.status)
    if ours.stripe_id is None or ours.status == StripeStatus.DELETED:
        return
    theirs = there.get(ours.stripe_id)
    if theirs is None:
        yield differ(DifferenceKind.MISSING_THERE, ours.status, "nothing")
        return
    if theirs.status != ours.status:
        yield differ(DifferenceKind.STATUS, ours.status, theirs.status)
    if theirs.status != StripeStatus.DRAFT and theirs.total_fen != ours.asked_fen:
        yield differ(DifferenceKind.TOTAL, _yuan(ours.asked_fen), _yuan(theirs.total_fen))
    if theirs.status == StripeStatus.OPEN and theirs.remaining_fen != ours.due_fen:
        yield differ(DifferenceKind.REMAINING, _yuan(ours.due_fen), _yuan(theirs.remaining_fen))
    if not ours.settled_outside and theirs.paid_fen != ours.paid_fen:
        yield differ(DifferenceKind.PAID, _yuan(ours.paid_fen), _yuan(theirs.paid_fen))


def _find_unknown(theirs: Iterable[Theirs], known: set[str | None], ours: set[str]) -> Iterator[Difference]:
    by_ours: dict[str, list[str]] = defaultdict(list)
    for each in theirs:
        if each.our_id is not None and each.status != StripeStatus.VOID:
            by_ours[each.our_id].append(each.stripe_id)
    for each in theirs:
        if each.stripe_id in known or each.status == StripeStatus.VOID:
            continue
        if each.our_id is None:
            kind = DifferenceKind.NOT_OURS
        elif len(by_ours[each.our_id]) > 1:
            kind = DifferenceKind.TWICE
        elif each.our_id in ours and each.status == StripeStatus.DRAFT:
            continue  # the answer that tells of it is under way
        else:
            kind = DifferenceKind.MISSING_HERE
        yield Difference(kind, each.our_id, each.stripe_id, "nothing", f"{each.status} {_yuan(each.total_fen)}")


def _yuan(fen: int) -> str:
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{rest:02}"
