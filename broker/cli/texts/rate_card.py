"""A rate card in words: the prices of each plan, its tiers, and what GPU types multiply. Pure."""

from rich.text import Text

from broker.cli.texts.columns import Column, make_card, make_table
from broker.cli.words import say
from broker.client.objects.contracts import RateCard, Tiers

COLUMNS = (
    Column("plan"),
    Column("yuan/GPU-hour", right=True),
    Column("yuan/token", right=True),
    Column("from GPU-hours", right=True),
    Column("queue"),
)


def make_rate_card(card: RateCard, width: int) -> list[Text]:
    """Make the lines of a rate card."""
    title = Text(card["version"], "bold").append(f"  {card['status'].replace('_', ' ')}", "")
    rows = [
        [plan, terms["per_gpu_hour"], terms["per_token"], str(terms["minimum_commit_gpu_hours"]), terms["queue"]]
        for plan, terms in card["plans"].items()
    ]
    times = [f"{gpu} × {multiplier}" for gpu, multiplier in card["gpu_multipliers"].items()]
    facts = [("In force from", card["effective_from"]), *_tell_tiers(card), ("GPU types", ", ".join(times))]
    return [title, *make_table(COLUMNS, rows), *make_card(facts, width)]


def _tell_tiers(card: RateCard) -> list[tuple[str, str]]:
    return [
        (f"{plan} {meter.replace('_', '-')}", describe_tiers(tiers))
        for plan, terms in card["plans"].items()
        for meter, tiers in (terms["tiers"] or {}).items()
        if tiers
    ]


def describe_tiers(tiers: Tiers) -> str:
    """Describe tiers: what a month's usage above each bound costs."""
    if tiers["mode"] == "flat":
        return say("one price")
    steps = ", ".join(
        say("{price} above {above} a month", price=step["price"], above=f"{step['above']:,}") for step in tiers["steps"]
    )
    return say(
        "{steps}; {what}, settled at the month's close",
        steps=steps,
        what=say("all of it") if tiers["mode"] == "volume" else say("what is above"),
    )
