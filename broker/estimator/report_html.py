"""The judgement of estimates as one HTML page that needs nothing else: its charts are inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from broker.estimator.report_charts import Chart, lay_out_drift, lay_out_predictions, lay_out_reliability
from broker.estimator.report_table import COLUMNS, describe_band, describe_change, format_accuracy
from pricing.calibration.accuracy import DRIFT_WINDOW, AccuracyReport, Group
from pricing.calibration.change import Change

PREDICTIONS = (
    "Each dot is a job; a red one took more than its own p90. Solid: as estimated; dashed: the usual p90 "
    "(the median of p90 / p50)."
)
RELIABILITY = "Where estimates are as sure as they say, the dots lie on the diagonal. Whiskers: 95 % intervals."
DRIFT = f"Each dot is {DRIFT_WINDOW} jobs in a row, at the time the last of them was over; shaded: the band of p90."
TOO_FEW = f"Drift is drawn from {DRIFT_WINDOW} jobs on."


@dataclass(frozen=True)
class Figure:
    """A chart under its title, with what it shows in a sentence; None where there is too little to draw."""

    title: str
    chart: Chart | None
    caption: str


def render_html(judged: AccuracyReport, as_of: datetime, changes: Mapping[str, Change]) -> str:
    """Render the whole page; everything that comes from the data is escaped."""
    return _load_template().render(
        band=describe_band(judged.overall),
        median_error=f"{judged.overall.median_error:.1%}",
        as_of=as_of,
        changes=[describe_change(gpu, change) for gpu, change in changes.items()],
        figures=_list_figures(judged),
        columns=("by", "", *COLUMNS),
        rows=[("all", "", *format_accuracy(judged.overall)), *map(_write_group, judged.groups)],
    )


@cache
def _load_template() -> Template:
    environment = Environment(
        loader=PackageLoader("broker.estimator", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _list_figures(judged: AccuracyReport) -> list[Figure]:
    drift = lay_out_drift(judged.drift) if judged.drift else None
    return [
        Figure("Estimated against actual", lay_out_predictions(judged.runs), PREDICTIONS),
        Figure("Reliability diagram", lay_out_reliability(judged.points), RELIABILITY),
        Figure("Drift", drift, DRIFT if drift else TOO_FEW),
    ]


def _write_group(group: Group) -> tuple[str, ...]:
    return (group.by.replace("_", " "), group.value, *format_accuracy(group.accuracy))
