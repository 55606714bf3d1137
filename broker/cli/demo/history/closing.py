"""Months of a history close: one act with a list, and a last look at drafts of billing months that end in between."""

from datetime import timedelta

from broker.cli.demo.history.plot import FINANCE_LEAD
from broker.cli.demo.history.scene import Scene
from broker.cli.demo.history.voices import Refused
from broker.clock import billing_month, previous_month

CLOSING_DAY, DRAFTS_DAY, CLOSING_HOUR = 3, 18, 10


async def close_month(scene: Scene) -> None:
    """Close the month before: what its list has open is accepted, since the history decides it later."""
    zone = scene.house.system.services.settings.time_zone
    month = previous_month(billing_month(scene.house.clock.now, zone))
    shown = await scene.finance.get(f"/closings/{month}")
    accepted = [point["name"] for point in shown["checklist"] if point["blocks"] and point["open"]]
    await scene.house.staff[FINANCE_LEAD].post("/closings", {"month": month, "accept": accepted})
    await scene.house.daemon.sweeps.run_closings()


async def finalize_drafts(scene: Scene) -> None:
    """Make drafts final whose billing month ended in the middle of a calendar month."""
    for invoice in reversed(await scene.finance.list_all("/invoices", status="draft")):
        try:
            await scene.finance.post(f"/invoices/{invoice['id']}/finalize")
        except Refused:
            continue  # its month is not over


def plan_closing(scene: Scene) -> None:
    """Plan the closing of each month, once its drafts are there."""
    for day in range(scene.span.days):
        local = scene.span.begin + timedelta(days=day, hours=CLOSING_HOUR)
        if local.day == CLOSING_DAY and day > CLOSING_DAY:
            scene.on_day(day, CLOSING_HOUR, close_month)
        if local.day == DRAFTS_DAY:
            scene.on_day(day, CLOSING_HOUR, finalize_drafts)
