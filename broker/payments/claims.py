"""Claims: what finance says that a payment is for, checked against what is due and what is left of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker import errors
from broker.billing.receipts import Payable
from broker.payments.matching import Share
from broker.payments.model import AllocationKind
from pricing.money import Money


@dataclass(frozen=True)
class Claim:
    """A part of a payment for an invoice, or for the credit of a contract; None: as much as is due, or is left."""

    invoice_id: str | None = None
    contract_id: str | None = None
    amount: Money | None = None


def plan_claims(
    claims: Sequence[Claim], left: Money, payables: Mapping[str, Payable], customers: Mapping[str, str]
) -> list[Share]:
    """Plan what is allocated; `customers` are those of the contracts, by their ids.

    Raises: InvalidRequest, which names the claim at fault by its place.
    """
    shares: list[Share] = []
    dues = {each.invoice_id: each.due for each in payables.values()}
    for place, claim in enumerate(claims):
        share = _plan(claim, place, left, payables, customers, dues)
        shares.append(share)
        left -= share.amount
        if share.kind == AllocationKind.INVOICE and share.invoice_id is not None:
            dues[share.invoice_id] -= share.amount
    return shares


def _plan(
    claim: Claim,
    place: int,
    left: Money,
    payables: Mapping[str, Payable],
    customers: Mapping[str, str],
    dues: Mapping[str, Money],
) -> Share:
    if not left.micros:
        raise errors.invalid_field(f"allocations.{place}", "nothing is left of the payment for it")
    if claim.invoice_id is None:
        assert claim.contract_id is not None, "a claim is for an invoice or a contract"
        amount = _check(claim.amount or left, left, f"allocations.{place}.amount")
        return Share(AllocationKind.CREDIT, customers[claim.contract_id], claim.contract_id, None, amount)
    payable = payables.get(claim.invoice_id)
    if payable is None:
        raise errors.invalid_field(
            f"allocations.{place}.invoice_id", "is a draft, or none: there is nothing to pay yet"
        )
    if payable.is_over:
        amount = _check(claim.amount or left, left, f"allocations.{place}.amount")
        return _share(AllocationKind.CREDIT, payable, amount)
    return _share(AllocationKind.INVOICE, payable, _check_due(claim, place, left, payable, dues[payable.invoice_id]))


def _share(kind: AllocationKind, payable: Payable, amount: Money) -> Share:
    return Share(kind, payable.customer_id, payable.contract_id, payable.invoice_id, amount)


def _check_due(claim: Claim, place: int, left: Money, payable: Payable, due: Money) -> Money:
    if not due.micros:
        cure = f"name its contract {payable.contract_id} to keep the money as a credit"
        raise errors.invalid_field(f"allocations.{place}.invoice_id", f"nothing is due of {payable.number}; {cure}")
    field = f"allocations.{place}.amount"
    amount = _check(claim.amount or min(due, left), left, field)
    if amount > due:
        cure = f"name contract {payable.contract_id} for the rest"
        raise errors.invalid_field(field, f"is more than is due of {payable.number}: {due}; {cure}")
    return amount


def _check(amount: Money, left: Money, field: str) -> Money:
    if amount.micros <= 0:
        raise errors.invalid_field(field, "must be above zero")
    if amount > left:
        raise errors.invalid_field(field, f"is more than is left of the payment: {left}")
    return amount
