"""Money of a refund that did not arrive and comes back: as a line of the statement (退汇), or its line is taken back.

Such a line is booked by its import, as every receipt is. So whoever tells that the refund failed names the payment, and
it is counted once, whichever of the two was told first.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select

from broker import errors
from broker.clock import local_day
from broker.payments.model import Payer, PaymentSource, RefundMethod
from broker.payments.tables import Payment, Refund
from broker.work import Work
from pricing.money import Money

# Banks send back what they cannot credit within days; who pays just as much later, pays.
LOOKED_FOR = timedelta(days=30)
RETURN_WORDS = ("退汇", "退回", "被退", "退票")


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

    def may_be(self, amount: Money, value_on: date, payer: Payer, remark: str) -> bool:
        """Tell whether a receipt may be this money, come back: as much, soon after, by a word or an account. Pure."""
        if amount != self.amount or not self.sent_on <= value_on <= self.sent_on + LOOKED_FOR:
            return False
        named = bool(self.bank_reference) and self.bank_reference in remark
        said = any(word in remark for word in RETURN_WORDS)
        return named or said or (bool(payer.account) and payer.account == self.payee_account)


async def list_sent(work: Work, amounts: Collection[Money]) -> list[SentMoney]:
    """List the refunds of these amounts that were sent by hand and have come back by no payment."""
    query = select(Refund).where(
        Refund.method == RefundMethod.BANK_TRANSFER.value,
        Refund.sent_at.is_not(None),
        Refund.came_back_id.is_(None),
        Refund.amount_micros.in_({each.micros for each in amounts}),
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
    sent = SentMoney.of(row, work.settings.time_zone)
    fitting = [each.id for each in await _list_open(work, row.amount) if _is_it(sent, each)]
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


async def _list_open(work: Work, amount: Money) -> list[Payment]:
    placed = Payment.allocated_micros + Payment.returned_micros
    query = select(Payment).where(
        placed < Payment.amount_micros,
        Payment.amount_micros == amount.micros,
        placed == 0,
        Payment.source == PaymentSource.BANK_TRANSFER.value,
    )
    return list(await work.session.scalars(query.order_by(Payment.id)))


def _is_it(sent: SentMoney, payment: Payment) -> bool:
    return sent.may_be(payment.amount, payment.value_on, payment.payer, payment.remark)
