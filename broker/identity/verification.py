"""Who a customer is by law (实名): submitted by itself, decided by finance; a gate before it pays where ops wants one.

    unverified -> submitted -> verified | rejected;  rejected -> submitted;  verified -> unverified

The number of the document is kept sealed, and told to finance alone.
"""

from sqlalchemy import select

from broker import errors
from broker.identity.service import get_customer, lock_customer
from broker.identity.tables import Customer
from broker.sealing import find_sealed, reseal, seal
from broker.work import Role, Work

UNVERIFIED, SUBMITTED, VERIFIED, REJECTED = "unverified", "submitted", "verified", "rejected"


async def submit_verification(work: Work, customer_id: str, *, name: str, number: str) -> Customer:
    """Submit who a customer is by law, for finance to decide.

    What finance looks at is what it decides on: nothing else takes its place meanwhile.

    Raises: NotFound; IllegalTransition, once it is verified, and before finance has decided.
    """
    customer = await lock_customer(work, customer_id)
    if customer.verification == VERIFIED:
        raise errors.IllegalTransition("This customer is verified already; ask finance to take that back first.")
    if customer.verification == SUBMITTED:
        raise errors.IllegalTransition(
            "Finance has yet to decide on what was submitted; submit anew if it is rejected."
        )
    customer.verification, customer.verification_note = SUBMITTED, None
    customer.verified_name, customer.verification_number = name, seal(work.services.secret, number)
    return customer


def find_number(work: Work, customer: Customer) -> str | None:
    """Find the number of the document that a customer submitted, for who decides on it."""
    sealed = customer.verification_number
    return None if sealed is None else find_sealed(work.services.secret, sealed)


async def reseal_numbers(work: Work, former: bytes) -> list[str]:
    """Seal the numbers of documents anew that the former secret has sealed.

    Returns the customers whose number neither secret can open.
    """
    query = select(Customer).where(Customer.verification_number.is_not(None)).with_for_update(key_share=True)
    left = []
    for customer in (await work.session.scalars(query.order_by(Customer.id))).all():
        sealed = reseal(former, work.services.secret, customer.verification_number or "")
        if sealed is None:
            left.append(customer.id)
        else:
            customer.verification_number = sealed
    return left


async def decide_verification(work: Work, customer_id: str, *, verdict: str, note: str | None) -> Customer:
    """Decide whether a customer is who it says.

    Raises: NotFound; IllegalTransition; InvalidRequest, without a reason.
    """
    customer = await lock_customer(work, customer_id)
    expected = {VERIFIED: SUBMITTED, REJECTED: SUBMITTED, UNVERIFIED: VERIFIED}[verdict]
    if customer.verification != expected:
        raise errors.IllegalTransition(f"This customer is {customer.verification}; only one that is {expected} can be.")
    if verdict != VERIFIED and not note:
        raise errors.invalid_field("note", "is required: the customer is told why")
    customer.verification, customer.verification_note = verdict, note
    customer.verified_at = work.now if verdict == VERIFIED else None
    return customer


async def require_verified(work: Work) -> None:
    """Refuse what a customer buys by itself before it is verified, where ops wants that. Raises: VerificationNeeded."""
    if not work.settings.verification_before_paying or work.actor.role != Role.CUSTOMER:
        return
    customer = await get_customer(work, work.actor.customer_id or "")
    if customer.verification != VERIFIED:
        raise errors.VerificationNeeded(
            "Nothing is bought before it is verified who buys (实名): submit your name by law and the number of your "
            "document with POST /v1/customers/{id}/verification, and wait for finance.",
            verification=customer.verification,
        )
