"""Money of a refund that did not arrive and comes back: as a line of the statement (退汇), or its line is taken back.

Such a line is booked by its import, as every receipt is. So whoever tells that the refund failed names the payment, and
it is counted once, whichever of the two was told first. A bank may bring the money of several refunds back in one line:
each of them names it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations

from sqlalchemy import select

from broker import errors
from broker.clock import local_day
from broker.payments.model import Payer, PaymentSource, RefundMethod
from broker.payments.tables import Payment, Refund
from broker.work import Work
from pricing.money import Money

# Banks send back what they cannot credit within days; who pays just as much later, pays.
LOOKED_FOR = timedelta(days=30)
A_DAY = timedelta(days=1)
RETURN_WORDS = ("退汇", "退回", "被退", "退票")
# One line brings so many refunds back at most, of so many that it may be: what is beyond finance finds by itself.
MOST_SHARING, MOST_LOOKED_AT = 4, 12


@dataclass(frozen=True)
class CameBack:
    """By which payment the money of a refund came back; or `is_reversed`, the bank took its own line back (冲正)."""

    payment_id: str | None = None
    is_reversed: bool = False


@dataclass(frozen=True)
class SentMoney:
    """Money that was sent to a payee on a day, under a reference of the bank."""

    refund_id: str
    amount: Money
    payee_account: str
    bank_reference: str
    sent_on: date

    @classmethod
    def of(cls, row: Refund, time_zone: str) -> "SentMoney":
        assert row.sent_at is not None, "it was sent"
        own = row.id, row.amount, row.payee_account, row.bank_reference or ""
        return cls(*own, local_day(row.sent_at, time_zone))

    def may_be(self, amount: Money, receipt: "BroughtBy") -> bool:
        """Tell whether so much of a receipt may be this money, come back: soon after, by a word or an account. Pure."""
        return amount == self.amount and self.may_be_in(receipt)

    def may_be_in(self, receipt: "BroughtBy") -> bool:
        """Tell whether a receipt may have this money in it, beside that of others. Pure."""
        if not self.sent_on <= receipt.value_on <= self.sent_on + LOOKED_FOR:
            return False
        named = bool(self.bank_reference) and self.bank_reference in receipt.remark
        said = any(word in receipt.remark for word in RETURN_WORDS)
        return named or said or (bool(receipt.payer.account) and receipt.payer.account == self.payee_account)


@dataclass(frozen=True)
class BroughtBy:
    """What a line of a statement tells of where its money is from, and when it came."""

    value_on: date
    payer: Payer
    remark: str


def find_brought(sent: Sequence[SentMoney], amount: Money, receipt: BroughtBy) -> list[tuple[SentMoney, ...]]:
    """Find whose money so much of a receipt may be, come back: one refund's; where none is as much, several's. Pure.

    Of several that one line brings back each is as the line says, and together they are all of it; fewest go first.
    """
    alone = [(each,) for each in sent if each.may_be(amount, receipt)]
    return list(alone) or next(_share_out(sent, amount, receipt), [])


def _share_out(sent: Sequence[SentMoney], amount: Money, receipt: BroughtBy) -> Iterator[list[tuple[SentMoney, ...]]]:
    parts = [each for each in sent if each.amount < amount and each.may_be_in(receipt)][:MOST_LOOKED_AT]
    for number in range(2, MOST_SHARING + 1):
        found = [
            each for each in combinations(parts, number) if sum((one.amount for one in each), Money.zero()) == amount
        ]
        if found:
            yield found


async def list_sent(work: Work, since: date) -> list[SentMoney]:
    """List the refunds that were sent by hand, not long before a day or after it, and have come back by no payment."""
    query = select(Refund).where(
        Refund.method == RefundMethod.BANK_TRANSFER.value,
        Refund.sent_at >= datetime.combine(since - LOOKED_FOR - A_DAY, time(), UTC),
        Refund.came_back_id.is_(None),
    )
    rows = (await work.session.scalars(query.order_by(Refund.id))).all()
    return [SentMoney.of(row, work.settings.time_zone) for row in rows]


async def find_return(work: Work, row: Refund, back: CameBack) -> Payment | None:
    """Find the payment by which the money of a refund came back, and lock it; None where no line brought it.

    Raises: NotFound; InvalidRequest, where that cannot be it, or a payment looks like it and nothing was told.
    """
    if back.payment_id is not None:
        return await _get_return(work, row, back.payment_id)
    if row.sent_at is None or row.method != RefundMethod.BANK_TRANSFER or back.is_reversed:
        return None
    opened = await _list_open(work, row)
    sent = await list_sent(work, SentMoney.of(row, work.settings.time_zone).sent_on)
    fitting = [each.id for each in opened if _may_bring(each, row, sent)]
    if fitting:
        told = f"must be told: {' or '.join(fitting)} looks like this money, come back on the statement"
        raise errors.invalid_field("payment_id", f"{told}; or say that its line was taken back: reversed")
    return None


async def _get_return(work: Work, row: Refund, payment_id: str) -> Payment:
    payment = await work.session.get(Payment, payment_id, with_for_update=True, populate_existing=True)
    if payment is None:
        raise errors.NotFound("payment", payment_id)
    if row.sent_at is None or row.method != RefundMethod.BANK_TRANSFER or payment_id == row.payment_id:
        raise errors.invalid_field(
            "payment_id", "brings nothing back of this refund: it went out before, or no bank sent it"
        )
    if payment.source != PaymentSource.BANK_TRANSFER or payment.open_amount < row.amount:
        raise errors.invalid_field("payment_id", f"has {payment.open_amount} left unmatched, less than came back")
    return payment


async def _list_open(work: Work, row: Refund) -> list[Payment]:
    """List the payments of banks of which at least a refund's amount is left, and nothing paid anything."""
    brought_others = select(Refund.came_back_id).where(Refund.came_back_id.is_not(None))
    left = Payment.amount_micros - Payment.allocated_micros - Payment.returned_micros
    query = select(Payment).where(
        Payment.allocated_micros + Payment.returned_micros < Payment.amount_micros,
        left >= row.amount_micros,
        Payment.allocated_micros == 0,
        (Payment.returned_micros == 0) | Payment.id.in_(brought_others),
        Payment.source == PaymentSource.BANK_TRANSFER.value,
    )
    return list(await work.session.scalars(query.order_by(Payment.id)))


def _may_bring(payment: Payment, row: Refund, sent: Sequence[SentMoney]) -> bool:
    """Tell whether what is left of a payment may be a refund's money, come back: alone, or with that of others."""
    told = BroughtBy(payment.value_on, payment.payer, payment.remark)
    found = find_brought(sent, payment.open_amount, told)
    return any(each.refund_id == row.id for together in found for each in together)
