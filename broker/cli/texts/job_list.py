"""Jobs as a list: a line for each and, where there is something to say, one below it. Pure."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from broker.cli.output import cut, one_line
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.job_words import STYLE_OF, describe_why
from broker.cli.texts.values import DASH, describe_ago, describe_fen
from broker.cli.words import translate
from broker.client.objects.jobs import Job

COLUMNS = (
    Column("job"),
    Column("status"),
    Column("step", right=True),
    Column("cost ¥", right=True),
    Column("submitted", right=True),
)


def make_job_list(jobs: Sequence[Job], now: datetime, width: int | None) -> list[Text]:
    """Make the lines of a list of jobs; the reasons are cut at the width (None: not at all), the rest never is."""
    heading, *rows = make_table(COLUMNS, [_make_row(job, now) for job in jobs])
    lines = [heading]
    for job, row in zip(jobs, rows, strict=True):
        row.highlight_words([translate(job["status"])], STYLE_OF.get(job["status"], ""))
        lines.append(row)
        note = " · ".join(part for part in (one_line(job["name"] or ""), describe_why(job, now)) if part)
        if note:
            lines.append(cut(Text(f"  {note}", "dim"), width))
    return lines


def _make_row(job: Job, now: datetime) -> list[str]:
    return [
        job["id"],
        translate(job["status"]),
        describe_steps(job),
        describe_fen(job["cost"]),
        describe_ago(job["created_at"], now),
    ]


def describe_steps(job: Job) -> str:
    """Describe how far a job is, in steps."""
    progress = job["progress"]
    return f"{progress['step']}/{progress['total_steps']}" if progress else DASH
