"""The report of `trainer check` as one HTML page that needs nothing else: thumbnails and charts are inside it."""

import base64
from collections.abc import Iterable
from html import escape

from trainer.data.quality_report import Finding, Histogram, QualityReport, Thumbnail

MAX_THUMBNAILS = 120
MAX_FINDINGS = 500
BAR_WIDTH, CHART_HEIGHT, CHART_TOP, CHART_FOOT = 46, 110, 22, 30

STYLE = """
:root { color-scheme: light dark; --line: #d8d5cf; --soft: #f6f4f0; --ink: #22201d; --dim: #6d6860; --bar: #5b7f95;
  --error: #b3261e; --warning: #946200; --hint: #4a6375; --paper: #fffdfa; }
@media (prefers-color-scheme: dark) { :root { --line: #3d3a36; --soft: #26241f; --ink: #ece8e1; --dim: #a29c92;
  --bar: #7fa6bd; --error: #ff8a80; --warning: #e7b65c; --hint: #9dbdd1; --paper: #1b1a17; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 32px 24px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 { font-size: 22px; margin: 0 0 2px; overflow-wrap: anywhere; } h2 { font-size: 16px; margin: 36px 0 10px; }
p.dim, .dim { color: var(--dim); } p { margin: 0 0 8px; }
.figures { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 20px; }
.figure { background: var(--soft); border-radius: 8px; padding: 10px 16px; min-width: 110px; }
.figure b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
.figure span { color: var(--dim); font-size: 13px; }
.charts { display: flex; flex-wrap: wrap; gap: 28px; } figure { margin: 0; } figcaption { font-size: 13px; }
svg { display: block; max-width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 11px; }
svg rect { fill: var(--bar); }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 7px 12px 7px 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; } th { font-size: 13px; color: var(--dim);
  font-weight: 500; } td.place { width: 25%; font-size: 13px; } td.level { width: 84px; }
td.cure { width: 30%; color: var(--dim); }
.error { color: var(--error); } .warning { color: var(--warning); } .hint { color: var(--hint); }
.level { font-weight: 600; }
td img { width: 84px; height: 63px; object-fit: cover; border-radius: 4px; margin: 0 6px 3px 0; vertical-align: top; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 16px; }
.card { font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; } .card img { width: 100%; height: 120px;
  object-fit: contain; background: var(--soft); border-radius: 6px; display: block; margin-bottom: 4px; }
.card .levels { font-weight: 600; }
"""


def render_html(report: QualityReport) -> str:
    """The whole page. Everything that comes from the data is escaped."""
    pictures = {thumbnail.file: thumbnail for thumbnail in report.thumbnails}
    parts = [
        f"<h1>{escape(report.folder)}</h1>",
        f'<p class="dim">Data check of {escape(report.kind)}: {escape(sum_up_levels(report))}.</p>',
        _render_figures(report),
        '<h2>Distributions</h2><div class="charts">',
        *(draw_histogram(histogram) for histogram in report.histograms),
        "</div>" if report.histograms else '<p class="dim">Nothing to draw.</p></div>',
        _render_findings(report.findings, pictures),
        _render_gallery(report),
    ]
    head = f'<meta charset="utf-8"><title>Data check: {escape(report.folder)}</title><style>{STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f'<!doctype html>\n<html lang="en"><head>{head}{view}</head><body>\n{chr(10).join(parts)}\n</body></html>\n'


def sum_up_levels(report: QualityReport) -> str:
    """For example `1 error, 4 warnings`, or `nothing found`."""
    counts = report.counts_by_level
    said = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count]
    return ", ".join(said) or "nothing found"


def _render_figures(report: QualityReport) -> str:
    cards = []
    for name, value in report.figures.items():
        shown = ", ".join(f"{key} {count}" for key, count in value.items()) if isinstance(value, dict) else f"{value:,}"
        words = escape(name.replace("_", " "))
        cards.append(f'<div class="figure"><b>{escape(shown) or "-"}</b><span>{words}</span></div>')
    return f'<div class="figures">{"".join(cards)}</div>'


def draw_histogram(histogram: Histogram) -> str:
    """Bars with their counts above and the lower edges below, as inline SVG."""
    tallest = max(histogram.counts)
    width, foot = BAR_WIDTH * len(histogram.counts) + 34, CHART_TOP + CHART_HEIGHT
    drawn = [f'<svg width="{width}" height="{foot + CHART_FOOT}" viewBox="0 0 {width} {foot + CHART_FOOT}" role="img">']
    for index, count in enumerate(histogram.counts):
        height = CHART_HEIGHT * count / tallest
        left, middle = 17 + BAR_WIDTH * index, 17 + BAR_WIDTH * (index + 0.5)
        drawn.append(
            f'<rect x="{left + 2}" y="{foot - height:.1f}" width="{BAR_WIDTH - 4}" height="{height:.1f}" rx="2"/>'
        )
        if count:
            drawn.append(f'<text x="{middle}" y="{foot - height - 5:.1f}" text-anchor="middle">{count}</text>')
        drawn.append(f'<text x="{left}" y="{foot + 16}" text-anchor="middle">{histogram.edges[index]}</text>')
    last = 17 + BAR_WIDTH * len(histogram.counts)
    drawn.append(f'<text x="{last}" y="{foot + 16}" text-anchor="middle">{histogram.edges[-1]}</text></svg>')
    caption = f'{escape(histogram.title)}, <span class="dim">{escape(histogram.unit)}</span>'
    return f"<figure><figcaption>{caption}</figcaption>{''.join(drawn)}</figure>"


def _render_findings(findings: list[Finding], pictures: dict[str, Thumbnail]) -> str:
    if not findings:
        return "<h2>Findings</h2><p>Nothing found.</p>"
    shown = findings[:MAX_FINDINGS]
    rows = [_render_place(list(same), pictures) for same in _group_by_place(shown)]
    heading = "<tr><th>where</th><th>level</th><th>what</th><th>what to do</th></tr>"
    more = len(findings) - MAX_FINDINGS
    note = f'<p class="dim">And {more} more; --json has all of them.</p>' if more > 0 else ""
    return f"<h2>Findings</h2><table>{heading}{''.join(rows)}</table>{note}"


def _group_by_place(findings: list[Finding]) -> Iterable[list[Finding]]:
    """What is said of one file or row stands together, at the place of the worst of it."""
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.place, []).append(finding)
    return grouped.values()


def _render_place(findings: list[Finding], pictures: dict[str, Thumbnail]) -> str:
    files = [findings[0].file, *(finding.other for finding in findings)]
    shown = "".join(f"<img src={_embed(pictures[file])} alt=''>" for file in dict.fromkeys(files) if file in pictures)
    place = f'<td class="place" rowspan="{len(findings)}"><div>{shown}</div>{escape(findings[0].place)}</td>'
    rows = []
    for finding in findings:
        level = finding.level.value
        what = f"<td>{escape(finding.message)}</td><td class='cure'>{escape(finding.cure)}</td>"
        rows.append(f'<tr>{place}<td class="level {level}">{level}</td>{what}</tr>')
        place = ""
    return "".join(rows)


def _render_gallery(report: QualityReport) -> str:
    if not report.thumbnails:
        return ""
    levels: dict[str, str] = {}
    for finding in report.findings:  # the worst comes first
        levels.setdefault(finding.file, finding.level.value)
    cards = [_render_card(thumbnail, levels.get(thumbnail.file)) for thumbnail in report.thumbnails[:MAX_THUMBNAILS]]
    more = len(report.thumbnails) - MAX_THUMBNAILS
    note = f'<p class="dim">The first {MAX_THUMBNAILS} of {len(report.thumbnails)}.</p>' if more > 0 else ""
    return f'<h2>Pictures</h2>{note}<div class="grid">{"".join(cards)}</div>'


def _render_card(thumbnail: Thumbnail, level: str | None) -> str:
    mark = f'<span class="levels {level}">{level}</span> ' if level else ""
    caption = escape(thumbnail.caption) or "<i>no caption</i>"
    picture = f"<img src={_embed(thumbnail)} alt='{escape(thumbnail.file)}' loading='lazy'>"
    return f'<div class="card">{picture}{mark}{escape(thumbnail.file)}<div class="dim">{caption}</div></div>'


def _embed(thumbnail: Thumbnail) -> str:
    return f'"data:image/jpeg;base64,{base64.b64encode(thumbnail.jpeg).decode()}"'
