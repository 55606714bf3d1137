"""Receiving: receipts of a statement or a provider are kept, booked and matched together, in one transaction.

One lock, one read, one pure plan, one write: the turn of payments, then all contracts that any of the receipts may
pay, in their order, then their invoices.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select, tuple_

from broker.billing import receipts as billing
from broker.clock import local_day
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.payments.allocating import Allocating, open_allocating
from broker.payments.coming_back import BroughtBy, SentMoney, find_brought, list_sent
from broker.payments.matching import KnownPayers, Match, NamedReceipt, plan_matches
from broker.payments.model import Outcome, Payer, PaymentSource, Receipt
from broker.payments.remark import Remark, read_remark
from broker.payments.tables import Payment, PaymentAllocation
from broker.work import Work
from pricing.money import Money

# Accounts of the house's own are changed under it alone, so that their rows are never locked in two orders.
PAYMENTS_TURN = 7_203_161


@dataclass(frozen=True)
class Received:
    """What became of one receipt; a rejected one was kept nowhere, and `field` is what is wrong with it."""

    outcome: Outcome
    payment: Payment | None = None
    match: Match | None = None
    reason: str = ""
    field: str | None = None


async def take_payments_turn(work: Work) -> None:
    """Take the turn of payments, before any lock of a contract."""
    await work.take_turn(PAYMENTS_TURN)


async def record_receipts(work: Work, receipts: Sequence[Receipt]) -> list[Received]:
    """Keep receipts, each once, book them as money that is there, and let them pay what they match.

    Answers come in the order of the receipts. One that was kept before is a duplicate, and changes nothing.
    """
    await take_payments_turn(work)
    kept = await _find_kept(work, receipts)
    answers: dict[int, Received] = {}
    new: dict[int, Receipt] = {}
    for place, receipt in enumerate(receipts):
        known = kept.get(_key(receipt))
        answer = _refuse(work, receipt) or (None if known is None else _compare(receipt, known))
        if answer is None:
            new[place] = receipt
            kept[_key(receipt)] = receipt
        else:
            answers[place] = answer
    if new:
        answers |= zip(new, await _receive(work, list(new.values())), strict=True)
    return [await _point_out(work, answers[place], receipts[place]) for place in range(len(receipts))]


def _key(receipt: Receipt) -> tuple[str, str, str]:
    return receipt.source.value, receipt.account, receipt.serial


async def _find_kept(work: Work, receipts: Sequence[Receipt]) -> dict[tuple[str, str, str], Payment | Receipt]:
    columns = tuple_(Payment.source, Payment.account, Payment.serial)
    query = select(Payment).where(columns.in_([_key(each) for each in receipts]))
    rows = (await work.session.scalars(query)).all()
    return {(row.source, row.account, row.serial): row for row in rows}


def _refuse(work: Work, receipt: Receipt) -> Received | None:
    if receipt.amount.micros <= 0:
        return Received(Outcome.REJECTED, reason="must be above zero: only money that came in is kept", field="amount")
    if receipt.value_on > local_day(work.now, work.settings.time_zone):
        return Received(Outcome.REJECTED, reason="is a day to come", field="value_on")
    return None


def _compare(receipt: Receipt, known: Payment | Receipt) -> Received:
    """Compare a receipt with the one of the same serial number: the same once more, or another one.

    A number that the bank gave two payments must not make one of them disappear.
    """
    accounts = {known.payer.account, receipt.payer.account} - {""}
    if (known.amount, known.value_on) != (receipt.amount, receipt.value_on) or len(accounts) > 1:
        other = f"of {known.amount} on {known.value_on} from {known.payer.account or 'an account that is not told'}"
        reason = f"is that of another payment already, {other}; look at the statement again"
        return Received(Outcome.REJECTED, reason=reason, field="serial")
    return Received(Outcome.DUPLICATE, known if isinstance(known, Payment) else None, reason="was kept before")


async def _point_out(work: Work, answer: Received, receipt: Receipt) -> Received:
    """Name the payment that a duplicate within one statement is of: it was written only now."""
    if answer.outcome != Outcome.DUPLICATE or answer.payment is not None:
        return answer
    kept = (await _find_kept(work, [receipt]))[_key(receipt)]
    assert isinstance(kept, Payment), "what was read from the table"
    return Received(answer.outcome, kept, reason=answer.reason)


async def _receive(work: Work, receipts: Sequence[Receipt]) -> list[Received]:
    rows = [_make_row(work, receipt) for receipt in receipts]
    work.session.add_all(rows)
    await work.session.flush()
    named, allocating = await open_matching(work, receipts)
    tolerance = Money.from_decimal(work.settings.bank_fee_tolerance)
    matches = plan_matches(named, allocating.book, tolerance)
    await ledger.book_receipts(work, [(row.id, row.amount, row.value_on) for row in rows])
    for row, match in zip(rows, matches, strict=True):
        await apply_match(allocating, row, match)
    await allocating.write()
    return [Received(match.outcome, row, match, match.reason) for row, match in zip(rows, matches, strict=True)]


def _make_row(work: Work, receipt: Receipt) -> Payment:
    payer = receipt.payer
    return Payment(
        id=work.new_id("pay"),
        source=receipt.source.value,
        account=receipt.account,
        serial=receipt.serial,
        amount_micros=receipt.amount.micros,
        allocated_micros=0,
        returned_micros=0,
        value_on=receipt.value_on,
        payer_name=payer.name,
        payer_account=payer.account,
        payer_bank=payer.bank,
        remark=receipt.remark,
        outcome=Outcome.UNMATCHED.value,
        reason="",
        candidates=[],
        author=work.actor.id,
        created_at=work.now,
    )


async def apply_match(allocating: Allocating, row: Payment, match: Match) -> None:
    """Note what a match says of a payment, and allocate it; the caller has that written."""
    row.outcome, row.reason, row.candidates = match.outcome.value, match.reason, list(match.candidates)
    for share in match.shares:
        await allocating.allocate(row, share, automatic=True)


async def open_matching(work: Work, receipts: Sequence[Receipt]) -> tuple[list[NamedReceipt], Allocating]:
    """Read what receipts name and who their payers are, and lock all that they may pay."""
    remarks = [read_remark(receipt.remark) for receipt in receipts]
    wanted = {body for remark in remarks for body in remark.bodies}
    by_body = {each.number.replace("-", ""): each for each in await billing.list_named(work, wanted)}
    told = {invoice_id for receipt in receipts for invoice_id in receipt.invoice_ids}
    by_id = {each.invoice_id: each for each in await billing.list_payable(work, told)}
    payers = await read_known_payers(work, receipts)
    customers = {each.customer_id for each in (*by_body.values(), *by_id.values())}
    customers |= {customer for receipt in receipts for customer in payers.find(receipt.payer)}
    opened = await billing.list_open(work, customers)
    seen = {each.invoice_id: each.contract_id for each in (*by_body.values(), *by_id.values(), *opened)}
    allocating = await open_allocating(work, seen, payers)
    fresh = allocating.book.payables
    found = {body: fresh[each.invoice_id] for body, each in by_body.items()}
    sent = await list_sent(work, min(receipt.value_on for receipt in receipts)) if receipts else []
    named = [
        _name(receipt, remark, found, [fresh[each] for each in receipt.invoice_ids if each in fresh])
        for receipt, remark in zip(receipts, remarks, strict=True)
    ]
    return [_add_returns(each, sent) for each in named], allocating


def _add_returns(named: NamedReceipt, sent: Sequence[SentMoney]) -> NamedReceipt:
    """Add to what a receipt names the refunds whose money it may be, come back: finance says what it is."""
    receipt = named.receipt
    if receipt.source != PaymentSource.BANK_TRANSFER:
        return named
    found = find_brought(sent, receipt.amount, BroughtBy(receipt.value_on, receipt.payer, receipt.remark))
    slips = [_tell_return([each.refund_id for each in together]) for together in found]
    return replace(named, slips=(*named.slips, *slips)) if slips else named


def _tell_return(refund_ids: Sequence[str]) -> str:
    if len(refund_ids) > 1:
        ids = " and ".join(refund_ids)
        return f"may be the money of refunds {ids}, come back together: tell the failure of each with this payment"
    return f"may be the money of refund {refund_ids[0]}, come back: tell that refund's failure with this payment"


def _name(
    receipt: Receipt, remark: Remark, found: dict[str, billing.Payable], told: Sequence[billing.Payable]
) -> NamedReceipt:
    readings = [[found[body] for body in bodies if body in found] for bodies in remark.references]
    by_reference = [each[0] for each in readings if len(each) == 1]
    alone = [found[body] for body in remark.numbers if body in found]
    slips = [f"the check digits of {slip} do not fit" for slip in remark.slips]
    for bodies, each in zip(remark.references, readings, strict=True):
        if len(each) != 1:
            slips.append(f"{' or '.join(bodies)} is {'more than one' if each else 'no'} invoice of ours")
    return NamedReceipt(receipt, tuple(dict.fromkeys([*told, *by_reference, *alone])), tuple(slips))


async def read_known_payers(work: Work, receipts: Collection[Receipt]) -> KnownPayers:
    """Read for which customers payers have paid before, and which customers have just their names."""
    accounts = {each.payer.account for each in receipts} - {""}
    names = {each.payer.name for each in receipts} - {""}
    query = (
        select(Payment.payer_name, Payment.payer_account, PaymentAllocation.customer_id)
        .join(PaymentAllocation, PaymentAllocation.payment_id == Payment.id)
        .where(Payment.payer_account.in_(accounts) | Payment.payer_name.in_(names))
        .where(PaymentAllocation.undone_at.is_(None))
        .distinct()
    )
    known = KnownPayers()
    for name, account, customer_id in await work.session.execute(query):
        known.learn(Payer(name, account), customer_id)
    for customer_id, name in (await identity.list_named(work, names)).items():
        known.learn(Payer(name), customer_id)
    return known
