"""What is wrong in a data set, finding by finding. Pure."""

from collections import Counter

from rich.text import Text

from broker.cli.output import clean, one_line
from broker.cli.texts.columns import fold
from broker.cli.texts.values import describe_count, describe_size
from broker.client.objects import Dataset, Finding

MOST_SHOWN = 20
STYLE_OF = {"error": "red", "warning": "yellow", "hint": "dim"}


def make_report(dataset: Dataset, width: int, *, all_findings: bool = False) -> list[Text]:
    """Make the lines of a data set's report: what there is, and what is wrong with it."""
    usable = describe_count(dataset["usable_rows"], "usable row" if dataset["kind"] == "text" else "usable picture")
    facts = f"{usable} in {describe_count(len(dataset['files']), 'file')}, {describe_size(dataset['size_bytes'])}"
    lines = [Text(dataset["id"], "bold")]
    lines += [Text(f"  {line}") for line in fold(f"{one_line(dataset['name'])}: {facts}", width - 2)]
    findings = sorted(dataset["findings"], key=lambda finding: list(STYLE_OF).index(finding["level"]))
    shown = findings if all_findings else findings[:MOST_SHOWN]
    for finding in shown:
        lines += _make_finding(finding, width)
    hidden = Counter(finding["level"] for finding in findings[len(shown) :])
    if hidden:
        told = ", ".join(describe_count(count, level) for level, count in hidden.items())
        lines += [Text(f"  and {told} more; see them all by"), Text(f"  broker datasets show {dataset['id']} --all")]
    return lines


def _make_finding(finding: Finding, width: int) -> list[Text]:
    place = finding["file"] + (f", line {finding['line']}" if finding["line"] else "")
    text = f"{one_line(place)}: {clean(finding['message'])}" if place else clean(finding["message"])
    first, *more = fold(text, width - 11)
    head = Text("  ").append(finding["level"].ljust(9), STYLE_OF[finding["level"]]).append(first)
    return [head, *(Text(" " * 11 + line) for line in more)]


def count_errors(dataset: Dataset) -> int:
    """Count the findings that training would have to leave out."""
    return sum(finding["level"] == "error" for finding in dataset["findings"])
