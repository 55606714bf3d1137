"""What a contract in arrears may still use: GPU-hours that are paid. Pure.

Tokens are no bound of it: as where a contract blocks overage they are sold with the hours that are paid, or these could
not be used at all (decision 0072).
"""

from collections.abc import Iterable

from broker import errors
from broker.contracts.terms.arrears import Use
from broker.contracts.terms.model import ContractTerms
from broker.ledger.holding.legs import NewLeg, OpenGrants
from pricing.usage import Unit


def find_usable(terms: ContractTerms, grants: OpenGrants) -> OpenGrants:
    """Find the grants that new jobs may draw from: in arrears only those that are paid.

    Raises: InArrears, where nothing may be submitted at all.
    """
    if terms.allowed.submit == Use.ALL:
        return grants
    if terms.allowed.submit == Use.NONE:
        raise make_refusal(terms, "no job is taken")
    return grants.only_paid()


def require_within_paid(terms: ContractTerms, legs: Iterable[NewLeg]) -> None:
    """Refuse a hold of a contract in arrears that has GPU-hours which nobody has paid. Raises: InArrears."""
    if terms.allowed.submit == Use.ALL:
        return
    if any(leg.billable and leg.unit == Unit.GPU_SECONDS for leg in legs):
        raise make_refusal(terms, "only jobs within paid grants are taken, and this one needs more GPU-hours")


def make_refusal(terms: ContractTerms, what: str) -> errors.InArrears:
    """Make the refusal of what a contract in arrears may not do, and say why."""
    owed = terms.arrears_owed.format_amount()
    return errors.InArrears(terms.id, terms.customer_id, terms.arrears_state.value, owed, what)
