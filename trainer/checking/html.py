"""The report of `trainer check` as one HTML page that needs nothing else: thumbnails and charts are inside it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from trainer.data.quality_report import Finding, Histogram, QualityReport, Thumbnail

MAX_THUMBNAILS = 120
MAX_FINDINGS = 500
BAR_PITCH, BAR_GAP, CHART_HEIGHT, CHART_TOP, CHART_FOOT, CHART_SIDE = 46, 4, 110, 22, 30, 17
COUNT_ABOVE, EDGE_BELOW = 5, 16  # pixels between a bar and what is written over and under it


@dataclass(frozen=True)
class Bar:
    """A bar of a chart, in pixels of the drawing."""

    left: int
    top: str
    width: int
    height: str


@dataclass(frozen=True)
class Label:
    """A number in a chart: the middle of its text and the line that it stands on, in pixels of the drawing."""

    middle: float
    base: str
    text: int


@dataclass(frozen=True)
class Chart:
    """A histogram laid out for inline SVG: the counts over the bars, the edges under them. Sizes in pixels."""

    title: str
    unit: str
    width: int
    height: int
    bars: list[Bar]
    labels: list[Label]


@dataclass(frozen=True)
class Place:
    """The findings on one file or row, with the thumbnails of the pictures that they speak of."""

    findings: list[Finding]
    pictures: list[Thumbnail]


def render_html(report: QualityReport) -> str:
    """Write the whole page. Everything that comes from the data is escaped."""
    return _load_template().render(
        report=report,
        levels=sum_up_levels(report),
        figures=[(name.replace("_", " "), _show_figure(value)) for name, value in report.figures.items()],
        charts=[lay_out_chart(histogram) for histogram in report.histograms],
        places=_group_by_place(report),
        unshown_findings=len(report.findings) - MAX_FINDINGS,
        cards=_list_cards(report),
    )


def sum_up_levels(report: QualityReport) -> str:
    """Count the findings of each level: `1 error, 4 warnings`, or `nothing found`."""
    counts = report.counts_by_level
    said = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count]
    return ", ".join(said) or "nothing found"


def lay_out_chart(histogram: Histogram) -> Chart:
    """Place the bars and the numbers of a histogram."""
    tallest, foot = max(histogram.counts), CHART_TOP + CHART_HEIGHT
    lefts = [CHART_SIDE + BAR_PITCH * index for index in range(len(histogram.edges))]
    heights = [CHART_HEIGHT * count / tallest for count in histogram.counts]
    counted = zip(lefts, heights, histogram.counts, strict=False)
    counts = [
        Label(left + BAR_PITCH / 2, f"{foot - height - COUNT_ABOVE:.1f}", count)
        for left, height, count in counted
        if count
    ]
    edges = [Label(left, str(foot + EDGE_BELOW), edge) for left, edge in zip(lefts, histogram.edges, strict=True)]
    return Chart(
        histogram.title,
        histogram.unit,
        width=lefts[-1] + CHART_SIDE,
        height=foot + CHART_FOOT,
        bars=[_draw_bar(left, height, foot) for left, height in zip(lefts, heights, strict=False)],
        labels=counts + edges,
    )


def _draw_bar(left: int, height: float, foot: int) -> Bar:
    return Bar(left + BAR_GAP // 2, f"{foot - height:.1f}", BAR_PITCH - BAR_GAP, f"{height:.1f}")


@cache
def _load_template() -> Template:
    environment = Environment(
        loader=PackageLoader("trainer", "checking"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _embed
    return environment.get_template("report.html.j2")


def _show_figure(value: object) -> str:
    return ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else f"{value:,}"


def _group_by_place(report: QualityReport) -> list[Place]:
    """Put together what is said of one file or row, at the place of the worst of it."""
    pictures = {thumbnail.file: thumbnail for thumbnail in report.thumbnails}
    grouped: dict[str, list[Finding]] = {}
    for finding in report.findings[:MAX_FINDINGS]:
        grouped.setdefault(finding.place, []).append(finding)
    return [Place(same, _find_pictures(same, pictures)) for same in grouped.values()]


def _find_pictures(findings: Sequence[Finding], pictures: dict[str, Thumbnail]) -> list[Thumbnail]:
    files = [findings[0].file, *(finding.other for finding in findings)]
    return [pictures[file] for file in dict.fromkeys(files) if file in pictures]


def _list_cards(report: QualityReport) -> list[tuple[Thumbnail, str | None]]:
    """List the first pictures, each with the worst level that was found in it."""
    levels: dict[str, str] = {}
    for finding in report.findings:  # the worst comes first
        levels.setdefault(finding.file, finding.level.value)
    return [(thumbnail, levels.get(thumbnail.file)) for thumbnail in report.thumbnails[:MAX_THUMBNAILS]]


def _embed(thumbnail: Thumbnail) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(thumbnail.jpeg).decode()}"
