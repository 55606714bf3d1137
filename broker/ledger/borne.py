"""Usage that the house bears in its customer's stead: held only to be captured at once."""

from broker.ledger.holds import HoldView, add_legs, open_own, post_for_job
from broker.ledger.legs import NewLeg
from broker.ledger.model import AccountKind, move
from broker.ledger.tables import HoldLeg
from broker.work import Work
from pricing.usage import METERS, Unit


async def hold_borne(work: Work, view: HoldView, unit: Unit, quantity: int, month: str | None) -> None:
    """Extend the borne legs of a hold: one for each unit (and month, for money), however many intervals come."""
    earlier = _find_leg(view, unit, month)
    if earlier is None:
        await add_legs(work, view, [_plan_leg(work, view, unit, quantity, month)], kind="hold_extended")
        return
    earlier.held += quantity
    held_id = await open_own(work, view.hold, unit, AccountKind.HELD)
    await post_for_job(work, view.hold, "hold_extended", move(earlier.account_id, held_id, unit, quantity))


def _find_leg(view: HoldView, unit: Unit, month: str | None) -> HoldLeg | None:
    return next((leg for leg in view.legs if leg.borne and (leg.unit, leg.month) == (unit, month)), None)


def _plan_leg(work: Work, view: HoldView, unit: Unit, quantity: int, month: str | None) -> NewLeg:
    price = view.terms.prices_at(work.now).of(unit) if unit in METERS else None
    source = AccountKind.BORNE_ISSUED
    return NewLeg(unit, source, quantity, price, billable=False, month=month, borne=True)
