"""Months of a history close: drafts are made final, and customers pay in time, late, in part or not at all."""

from datetime import date, timedelta

from broker.cli.demo.history.plot import Character
from broker.cli.demo.history.scene import Scene
from broker.cli.demo.history.voices import Refused

CLOSING_DAYS, CLOSING_HOUR, PAYING_HOUR = (3, 18), 10, 11
DAYS_BEFORE_DUE, LATE = (3, 24), timedelta(days=30)


async def close_months(scene: Scene) -> None:
    """Make every draft final whose month is over."""
    for invoice in reversed(await scene.finance.list_all("/invoices", status="draft")):
        try:
            await scene.finance.post(f"/invoices/{invoice['id']}/finalize")
        except Refused:
            continue  # its month is not over


async def pay_invoices(scene: Scene) -> None:
    """Let each customer pay what it pays by today: some days before it is due, or after."""
    by_id = {player.id: player for player in scene.players.values()}
    for invoice in reversed(await scene.finance.list_all("/invoices", status="open")):
        player = by_id[invoice["customer_id"]]
        early = timedelta(days=scene.house.lot_of("pays", player.id).randrange(*DAYS_BEFORE_DUE))
        if pays_today(player.character, date.fromisoformat(invoice["due_on"]) - early, scene.house.clock.now.date()):
            await scene.finance.post(f"/invoices/{invoice['id']}/pay")


def pays_today(character: Character, on: date, today: date) -> bool:
    """Tell whether a customer that pays on a day, or so many days later, has paid by today. Pure."""
    return character.pays == 1 and today >= (on + LATE if character.late else on)


def plan_closing(scene: Scene) -> None:
    """Plan the closing of each month and a day of payments in each week."""
    for day in range(scene.span.days):
        moment = scene.span.begin + timedelta(days=day, hours=CLOSING_HOUR)
        if moment.day in CLOSING_DAYS:
            scene.on_day(day, CLOSING_HOUR, close_months)
        if moment.weekday() == 0:
            scene.on_day(day, PAYING_HOUR, pay_invoices)
