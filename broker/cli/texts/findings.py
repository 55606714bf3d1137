"""What is wrong in a data set, finding by finding. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from broker.cli.output import clean, one_line
from broker.cli.texts.columns import fold
from broker.cli.texts.values import describe_count, describe_size
from broker.cli.words import say, translate
from broker.client.objects.quotes import Dataset, Finding

MOST_SHOWN = 20
STYLE_OF = {"error": "red", "warning": "yellow", "hint": "dim"}
# A level stands alone: counted (`3 errors`) it is another word in Chinese.
WORD_OF = {"error": "Error", "warning": "Warning", "hint": "Hint"}


def make_report(dataset: Dataset, width: int, *, all_findings: bool = False) -> list[Text]:
    """Make the lines of a data set's report: what there is, and what is wrong with it."""
    usable = describe_count(dataset["usable_rows"], "usable row" if dataset["kind"] == "text" else "usable picture")
    files, size = describe_count(len(dataset["files"]), "file"), describe_size(dataset["size_bytes"])
    facts = say("{usable} in {files}, {size}", usable=usable, files=files, size=size)
    lines = [Text(dataset["id"], "bold")]
    lines += [Text(f"  {line}") for line in fold(f"{one_line(dataset['name'])}: {facts}", width - 2)]
    counts = dataset.get("row_counts")  # a broker of before has none
    if counts:
        lines += [Text(f"  {line}") for line in fold(clean(counts["line"]), width - 2)]
    findings = sorted(dataset["findings"], key=lambda finding: list(STYLE_OF).index(finding["level"]))
    shown = findings if all_findings else findings[:MOST_SHOWN]
    for finding in shown:
        lines += _make_finding(finding, width)
    told = ", ".join(_count_hidden(dataset, shown))
    if told:
        lines += [
            Text("  " + say("and {count} more; see more of them by", count=told)),
            Text(f"  broker datasets show {dataset['id']} --all"),
        ]
    return lines


def _make_finding(finding: Finding, width: int) -> list[Text]:
    place = finding["file"] + (say(", line {line}", line=finding["line"]) if finding["line"] else "")
    text = f"{one_line(place)}: {clean(finding['message'])}" if place else clean(finding["message"])
    first, *more = fold(text, width - 11)
    level = translate(WORD_OF[finding["level"]]).lower()
    head = Text("  ").append(level + " " * (9 - cell_len(level)), STYLE_OF[finding["level"]]).append(first)
    return [head, *(Text(" " * 11 + line) for line in more)]


def _count_hidden(dataset: Dataset, shown: Sequence[Finding]) -> Iterator[str]:
    """Count the findings that are not shown: the broker lists the first ones only, and counts them all."""
    seen = Counter(str(finding["level"]) for finding in shown)
    counts = dataset["finding_counts"]
    for level, count in (("error", counts["error"]), ("warning", counts["warning"]), ("hint", counts["hint"])):
        if count > seen[level]:
            yield describe_count(count - seen[level], level)


def count_errors(dataset: Dataset) -> int:
    """Count the findings that training would have to leave out."""
    return dataset["finding_counts"]["error"]
