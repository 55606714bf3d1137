"""What the house pays for in a customer's stead: held only to be captured at once."""

from broker.contracts.model import ContractTerms
from broker.ledger import accounts
from broker.ledger.holds import HoldView, add_legs, open_own
from broker.ledger.legs import NewLeg
from broker.ledger.model import AccountKind, Payer, Unit, move
from broker.ledger.tables import HoldLeg
from broker.work import Work


async def hold_for_house(
    work: Work, terms: ContractTerms, view: HoldView, unit: Unit, quantity: int, month: str | None
) -> None:
    """Let the house's part of a hold grow: by one leg for each unit (and month, for money), however many intervals."""
    earlier = _find_leg(view, unit, month)
    if earlier is None:
        leg = await _plan_leg(work, terms, unit, quantity, month)
        await add_legs(work, view, [leg], kind="hold_extended")
        return
    earlier.held += quantity
    held_id = await open_own(work, view.hold, unit, AccountKind.HELD)
    await accounts.post_transfer(
        work,
        terms.id,
        terms.customer_id,
        "hold_extended",
        move(earlier.account_id, held_id, unit, quantity),
        hold_id=view.hold.id,
        reference=view.hold.job_id,
    )


def _find_leg(view: HoldView, unit: Unit, month: str | None) -> HoldLeg | None:
    legs = (leg for leg in view.legs if (leg.payer, leg.unit, leg.month) == (Payer.HOUSE, unit, month))
    return next(legs, None)


async def _plan_leg(work: Work, terms: ContractTerms, unit: Unit, quantity: int, month: str | None) -> NewLeg:
    prices = {Unit.GPU_SECONDS: terms.gpu_hour_price, Unit.TOKENS: terms.token_price}
    account_id = await accounts.open_account(work, terms.id, terms.customer_id, unit, AccountKind.HOUSE)
    return NewLeg(unit, account_id, quantity, prices.get(unit), billable=False, month=month, payer=Payer.HOUSE)
