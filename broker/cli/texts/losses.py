"""The loss of a job by step: a curve on one line, and the figures under it. Pure."""

from collections.abc import Sequence

from rich.text import Text

from broker.cli.output import cut
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.values import DASH
from broker.cli.words import say
from broker.client.objects.jobs import Loss, Losses

COLUMNS = (
    Column("to step", right=True),
    Column("loss", right=True),
    Column("lowest", right=True),
    Column("highest", right=True),
    Column("validation", right=True),
)
BARS = "▁▂▃▄▅▆▇█"


def make_loss_lines(losses: Losses, width: int | None) -> list[Text]:
    """Make the lines of a job's losses, the curve first; one sentence where its training has told none."""
    if not losses["data"]:
        return [Text(say("The training has told no loss yet."))]
    curve = draw_curve([each["mean"] for each in losses["data"]])
    table = make_table(COLUMNS, [_make_row(each) for each in losses["data"]])
    return [cut(Text(curve), width), *table]


def draw_curve(values: Sequence[float | None]) -> str:
    """Draw values as bars of eight heights, from the lowest to the highest; a gap where there is none."""
    known = [value for value in values if value is not None]
    low, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    return "".join(" " if value is None else BARS[_find_height(value - low, span)] for value in values)


def _find_height(above: float, span: float) -> int:
    return round(above / span * (len(BARS) - 1)) if span else 0


def _make_row(loss: Loss) -> list[str]:
    figures = [loss["mean"], loss["low"], loss["high"], loss["validation"]]
    return [str(loss["step"]), *(DASH if figure is None else f"{figure:.4f}" for figure in figures)]
