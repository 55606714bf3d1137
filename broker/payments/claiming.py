"""Claiming: finance says what an unmatched payment is for, and takes back what was allocated wrongly."""

from collections.abc import Collection, Sequence

from broker import errors
from broker.billing import disputes
from broker.billing import receipts as billing
from broker.contracts import service as contracts
from broker.payments.allocating import Allocating, list_live, open_contracts
from broker.payments.claims import Claim, plan_claims
from broker.payments.matching import KnownPayers, plan_matches
from broker.payments.model import PaymentSource, Receipt
from broker.payments.receiving import apply_match, open_matching, take_payments_turn
from broker.payments.tables import Payment, PaymentAllocation
from broker.work import Work
from pricing.money import Money


async def lock_payment(work: Work, payment_id: str) -> Payment:
    """Lock a payment, after the turn of payments. Raises: NotFound."""
    await take_payments_turn(work)
    row = await work.session.get(Payment, payment_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise errors.NotFound("payment", payment_id)
    return row


async def claim_payment(work: Work, payment_id: str, claims: Sequence[Claim]) -> Payment:
    """Allocate what is left of a payment as claimed, or without claims as it would be matched now.

    Raises: NotFound, IllegalTransition, InvalidRequest; also where it fits several invoices, and none is named.
    """
    payment = await lock_payment(work, payment_id)
    if not payment.open_amount.micros:
        raise errors.IllegalTransition(
            f"Nothing is left of payment {payment.id}: it is {payment.status.value}. Unclaim it first.",
            status_before=payment.status.value,
        )
    if not claims:
        await _match_again(work, payment)
        return payment
    allocating = await _open(work, claims)
    customers = {terms.id: terms.customer_id for terms in allocating.terms.values()}
    for share in plan_claims(claims, payment.open_amount, allocating.book.payables, customers):
        await allocating.allocate(payment, share, automatic=False)
    await allocating.write()
    return payment


async def _open(work: Work, claims: Sequence[Claim]) -> Allocating:
    """Lock what claims name. Raises: NotFound."""
    invoice_ids = {claim.invoice_id for claim in claims if claim.invoice_id is not None}
    named = await billing.list_contracts(work, invoice_ids)
    contract_ids = {claim.contract_id for claim in claims if claim.contract_id is not None}
    for contract_id in contract_ids:
        await contracts.get_contract(work, contract_id)
    return await open_contracts(work, contract_ids | set(named.values()), invoice_ids, KnownPayers())


async def _match_again(work: Work, payment: Payment) -> None:
    """Match what is left of a payment as if it came now. Raises: InvalidRequest, where it still matches nothing."""
    receipt = Receipt(
        source=PaymentSource(payment.source),
        account=payment.account,
        serial=payment.serial,
        amount=payment.open_amount,
        value_on=payment.value_on,
        payer=payment.payer,
        remark=payment.remark,
    )
    named, allocating = await open_matching(work, [receipt])
    tolerance = Money.from_decimal(work.settings.bank_fee_tolerance)
    (match,) = plan_matches(named, allocating.book, tolerance)
    if not match.shares:
        raise errors.invalid_field("allocations", f"must be told: the payment {match.reason}")
    await apply_match(allocating, payment, match)
    await allocating.write()


async def unclaim_payment(work: Work, payment_id: str, reason: str, allocation_ids: Collection[str] = ()) -> Payment:
    """Take back allocations of a payment, all where none is named: their money is unmatched again.

    Raises: NotFound, IllegalTransition; InvalidRequest, where a credit that it became is used.
    """
    payment = await lock_payment(work, payment_id)
    await _require_no_chargeback(work, payment)
    live = await list_live(work, payment.id)
    rows = _choose(payment, live, allocation_ids)
    allocating = await open_rows(work, rows)
    for row in rows:
        await allocating.undo(payment, row, reason)
    return payment


async def _require_no_chargeback(work: Work, payment: Payment) -> None:
    """Require that no chargeback of a payment stands: it is of what would be taken back. Raises: IllegalTransition."""
    standing = await disputes.list_standing_chargebacks(work, payment.id)
    if standing:
        raise errors.IllegalTransition(
            f"Chargeback {standing[0].id} is about payment {payment.id}; end it first.",
            status_before=payment.status.value,
        )


def _choose(
    payment: Payment, live: Sequence[PaymentAllocation], allocation_ids: Collection[str]
) -> list[PaymentAllocation]:
    known = {row.id for row in live}
    strange = next((each for each in allocation_ids if each not in known), None)
    if strange is not None:
        raise errors.invalid_field("allocation_ids", f"{strange} is no allocation of the payment that stands")
    if not live:
        raise errors.IllegalTransition(
            f"Payment {payment.id} is {payment.status.value}; there is nothing to take back.",
            status_before=payment.status.value,
        )
    return [row for row in live if not allocation_ids or row.id in allocation_ids]


async def open_rows(work: Work, rows: Sequence[PaymentAllocation]) -> Allocating:
    """Lock what allocations are of."""
    invoice_ids = {row.invoice_id for row in rows if row.invoice_id is not None}
    return await open_contracts(work, {row.contract_id for row in rows}, invoice_ids, KnownPayers())
