"""The judgement of estimates as one HTML page that needs nothing else: its charts are inside it."""

from collections.abc import Iterable
from datetime import datetime
from html import escape

from broker.estimator.report_charts import draw_drift, draw_predictions, draw_reliability
from broker.estimator.report_table import COLUMNS, describe_band, format_accuracy
from pricing.calibration.accuracy import DRIFT_WINDOW, AccuracyReport, Group

STYLE = """
:root { color-scheme: light dark; --line: #d8d5cf; --ink: #22201d; --dim: #6d6860; --mark: #2f6f8f; --miss: #b3261e;
  --paper: #fffdfa; --band: #dfe9ee; }
@media (prefers-color-scheme: dark) { :root { --line: #3d3a36; --ink: #ece8e1; --dim: #a29c92; --mark: #7fb6d3;
  --miss: #ff8a80; --paper: #1b1a17; --band: #24333b; } }
body { margin: 0 auto; max-width: 1020px; padding: 32px 24px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 22px; margin: 0 0 2px; } h2 { font-size: 16px; margin: 36px 0 10px; } p { margin: 0 0 4px; }
.dim, figcaption { color: var(--dim); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 0 32px; }
figure { margin: 0; max-width: 500px; } figcaption { font-size: 13px; } svg { display: block; width: 100%; }
svg text { fill: var(--dim); font-size: 11px; } svg .axis { stroke: var(--line); }
svg .guide { stroke: var(--dim); } svg .upper { stroke: var(--dim); stroke-dasharray: 5 4; }
svg .line { stroke: var(--mark); stroke-width: 2; fill: none; } svg .band { fill: var(--band); }
svg .mark { fill: var(--mark); fill-opacity: .7; } svg .miss { fill: var(--miss); fill-opacity: .85; }
svg .whisker { stroke: var(--mark); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: right; padding: 6px 0 6px 16px; border-bottom: 1px solid var(--line); }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left; padding-left: 0; }
th { font-size: 13px; color: var(--dim); font-weight: 500; } tr.all td { font-weight: 600; }
"""
PREDICTIONS = (
    "Each dot is a job; a red one took more than its own p90. Solid: as estimated; dashed: the usual p90 "
    "(the median of p90 / p50)."
)
RELIABILITY = "Where estimates are as sure as they say, the dots lie on the diagonal. Whiskers: 95 % intervals."
DRIFT = f"Each dot is {DRIFT_WINDOW} jobs in a row, at the time the last of them was over; shaded: the band of p90."
TOO_FEW = f"Drift is drawn from {DRIFT_WINDOW} jobs on."


def render_html(judged: AccuracyReport, as_of: datetime) -> str:
    """The whole page. Everything that comes from the data is escaped."""
    parts = [
        "<h1>How good the estimates were</h1>",
        (
            f"<p>{describe_band(judged.overall)} Half of the estimates were off by less than "
            f"{judged.overall.median_error:.1%}.</p>"
        ),
        f'<p class="dim">As of {as_of:%Y-%m-%d %H:%M} UTC, by the jobs that are over.</p>',
        '<div class="charts">',
        _figure("Estimated against actual", draw_predictions(judged.runs), PREDICTIONS),
        _figure("Reliability diagram", draw_reliability(judged.points), RELIABILITY),
        _figure("Drift", draw_drift(judged.drift) if judged.drift else "", DRIFT if judged.drift else TOO_FEW),
        "</div>",
        "<h2>Error by group</h2>",
        _render_groups(judged),
    ]
    head = f'<meta charset="utf-8"><title>How good the estimates were</title><style>{STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f'<!doctype html>\n<html lang="en"><head>{head}{view}</head><body>\n{chr(10).join(parts)}\n</body></html>\n'


def _figure(title: str, chart: str, caption: str) -> str:
    return f"<section><h2>{title}</h2><figure>{chart}<figcaption>{escape(caption)}</figcaption></figure></section>"


def _render_groups(judged: AccuracyReport) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in ("by", "", *COLUMNS))
    rows = [_row(("all", "", *format_accuracy(judged.overall)), kind="all"), *map(_group_row, judged.groups)]
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _group_row(group: Group) -> str:
    return _row((group.by.replace("_", " "), group.value, *format_accuracy(group.accuracy)))


def _row(cells: Iterable[str], *, kind: str = "group") -> str:
    return f'<tr class="{kind}">{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
