"""The judgement of estimates as tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Group as Together
from rich.table import Table

from pricing.calibration.accuracy import Accuracy, AccuracyReport, Group
from pricing.calibration.change import Change
from pricing.calibration.coverage import P90_BAND, BandState

COLUMNS = ("runs", "median error", "actual / p50", "within p50", "within p90")
LATEST_WINDOWS = 10


def make_tables(judged: AccuracyReport, changes: Mapping[str, Change]) -> Together:
    """Make the tables: all runs and each group; the reliability diagram in figures; drift, where runs are enough.

    Below them stand the GPU types that changed.
    """
    tables = [_accuracy_table("Estimates", judged), _reliability_table(judged)]
    drift = [_drift_table(judged)] if judged.drift else []
    return Together(describe_band(judged.overall), *tables, *drift, *map(describe_change, changes, changes.values()))


def describe_change(sku: str, change: Change) -> str:
    """Describe a change, as in "h100-80g changed: since 2026-11-24 10:00 it takes 2.00 times as long (12 runs)."."""
    since = f"since {change.since[:16].replace('T', ' ')} it" if change.since else "it"
    return f"{sku} changed: {since} takes {change.factor:.2f} times as long ({change.runs} runs)."


def describe_band(accuracy: Accuracy) -> str:
    """Describe p90's coverage and its band, as in "p90 covers 91.0% of 120 runs: within its band of 85% to 95%."."""
    lower, upper = P90_BAND
    place = {
        BandState.UNJUDGED: "too few to judge its band of",
        BandState.BELOW: "below its band of",
        BandState.WITHIN: "within its band of",
        BandState.ABOVE: "above its band of",
    }[accuracy.band]
    runs = f"{accuracy.runs} run{'' if accuracy.runs == 1 else 's'}"
    return f"p90 covers {accuracy.p90.share:.1%} of {runs}: {place} {lower:.0%} to {upper:.0%}."


def format_accuracy(accuracy: Accuracy) -> list[str]:
    """Format the figures of an accuracy in the order of `COLUMNS`."""
    figures = (accuracy.median_error, accuracy.p50.share, accuracy.p90.share)
    error, half, most = (f"{figure:.1%}" for figure in figures)
    return [str(accuracy.runs), error, f"{accuracy.median_ratio:.2f}", half, most]


def _accuracy_table(title: str, judged: AccuracyReport) -> Table:
    table = _new_table(title, ("by", "", *COLUMNS), words=2)
    table.add_row("all", "", *format_accuracy(judged.overall))
    by = ""
    for group in judged.groups:
        table.add_row(_name_once(group, by), group.value, *format_accuracy(group.accuracy))
        by = group.by
    return table


def _name_once(group: Group, before: str) -> str:
    return "" if group.by == before else group.by.replace("_", " ")


def _reliability_table(judged: AccuracyReport) -> Table:
    table = _new_table("Reliability", ("should stay below", "did", "95 % interval"))
    for point in judged.points:
        seen = point.observed
        table.add_row(f"{point.level:.0%}", f"{seen.share:.1%}", f"{seen.lower:.1%} to {seen.upper:.1%}")
    return table


def _drift_table(judged: AccuracyReport) -> Table:
    table = _new_table("Drift: the latest windows of 20 runs", ("until", *COLUMNS), words=1)
    for window in judged.drift[-LATEST_WINDOWS:]:
        table.add_row(f"{window.ended_at:%Y-%m-%d %H:%M}", *format_accuracy(window.accuracy))
    return table


def _new_table(title: str, columns: Sequence[str], *, words: int = 0) -> Table:
    """Make an empty table whose first `words` columns hold words, the others figures."""
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < words else "right")
    return table
