"""A month as a document: the figures, why it changed, projects and rows of its page, in the page's language."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import typst

from broker.billing.documents.fonts import get_fonts
from broker.console.finance.month_view import STEPS, CostTable, MonthFigures
from broker.console.finance.shares import ShareBar
from broker.console.frame.formats import DASH, Formats
from broker.console.frame.menu import N_
from broker.reports.costs.changes import MonthChange

TEMPLATE = "month.typ"
Say = Callable[[str], str]


@dataclass(frozen=True)
class MonthTold:
    """What the page of a month shows; `whose`: the customer that it is narrowed to, or nothing.

    `is_reconciled`: whether the books ever were, so that what they leave unexplained is known.
    """

    month: str
    whose: str
    figures: MonthFigures
    change: MonthChange
    projects: Sequence[ShareBar]
    costs: CostTable
    is_reconciled: bool
    at: datetime


def write_month_pdf(described: dict[str, Any], at: datetime, font_dir: Path | None) -> bytes:
    """Write the bytes of a month's PDF. Slow: some tenths of a second. Raises: FontMissing."""
    fonts = get_fonts(font_dir)
    files = {
        "main.typ": (resources.files("broker.console.finance") / TEMPLATE).read_bytes(),
        "month.json": json.dumps(described, ensure_ascii=False).encode(),
    }
    # Its types know of one input file alone.
    compile_files: Callable[..., bytes] = typst.compile
    told = {"font_paths": fonts, "ignore_system_fonts": True, "format": "pdf", "timestamp": int(at.timestamp())}
    return compile_files(files, **told)


def describe_month(told: MonthTold, say: Say, formats: Formats) -> dict[str, Any]:
    """Describe a month as its template reads it: texts alone. Pure."""
    return {
        "language": formats.language,
        "title": f"{say('Month')} {told.month}",
        "whose": told.whose,
        "as_of": f"{say('as of')} {formats.moment(told.at)}",
        "figures": _list_figures(told, say, formats),
        "tables": [
            _tell_change(told, say, formats),
            _tell_projects(told, say, formats),
            _tell_costs(told, say, formats),
        ],
    }


def _list_figures(told: MonthTold, say: Say, formats: Formats) -> list[list[str]]:
    figures = told.figures
    state = N_("final: as invoices say") if figures.is_final else N_("as of now; it may change")
    return [
        [say("Net"), formats.money(figures.net), say(state)],
        [say("Change"), formats.money(figures.change), formats.percent(figures.grown)],
        [say("Commitments used"), formats.percent(figures.commit_used), f"{formats.hours(figures.committed, 0)} h"],
        [say("Unexplained"), *_tell_unexplained(told, say, formats)],
    ]


def _tell_unexplained(told: MonthTold, say: Say, formats: Formats) -> list[str]:
    if told.is_reconciled:
        return [formats.money(told.change.unexplained), ""]
    return [DASH, say(N_("the books were not reconciled yet"))]


def _tell_change(told: MonthTold, say: Say, formats: Formats) -> dict[str, Any]:
    change = told.change
    steps = {"before": change.before, **change.steps, "after": change.after}
    rows = [[say(STEPS[name]), formats.money(amount)] for name, amount in steps.items()]
    return _make_table(say(N_("Why it changed")), [say("Part"), say("Amount")], [False, True], rows)


def _tell_projects(told: MonthTold, say: Say, formats: Formats) -> dict[str, Any]:
    rows = [[bar.name or DASH, formats.money(bar.amount), formats.percent(bar.share)] for bar in told.projects]
    heads = [say("Project"), say("Cost"), say("Share")]
    return _make_table(say(N_("By project")), heads, [False, True, True], rows)


def _tell_costs(told: MonthTold, say: Say, formats: Formats) -> dict[str, Any]:
    costs = told.costs
    rows = [
        [
            *(cell.text or DASH for cell in line.cells),
            formats.number(line.costs.jobs),
            formats.hours(line.costs.gpu_seconds),
            formats.number(line.costs.tokens),
            *(
                formats.money(amount)
                for amount in (line.costs.cost, line.costs.advance, line.costs.due, line.before.due)
            ),
            formats.money(line.change),
        ]
        for line in costs.lines
    ]
    due, cost = (formats.money(amount) for amount in (costs.total.due, costs.total.cost))
    shown = f"{formats.number(len(costs.lines))} / {formats.number(costs.count)}"
    note = f"{shown} · {say('total due')} {due} · {say('cost')} {cost}"
    columns = costs.columns
    heads, numbers = [say(each.heading) for each in columns], [each.is_number for each in columns]
    return _make_table(say(N_("What it costs")), heads, numbers, rows, note)


def _make_table(
    title: str, heads: Sequence[str], numbers: Sequence[bool], rows: Sequence[Sequence[str]], note: str = ""
) -> dict[str, Any]:
    return {"title": title, "heads": heads, "numbers": numbers, "rows": rows, "note": note}
