"""`broker jobs watch`: a job followed to its end; to stop watching does nothing to the job."""

from contextlib import nullcontext
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

from broker.cli.failures import ExitCode
from broker.cli.output import make_console, one_line, write_json
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.texts.job_list import describe_steps
from broker.cli.texts.job_words import describe_why, list_next_commands
from broker.cli.texts.values import describe_count, describe_fen, describe_money
from broker.cli.words import say, translate
from broker.client.objects.jobs import Job
from broker.client.typed import BrokerClient

POLL_SECONDS = 1.0


def watch_job(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Follow a job until it has ended or is paused; exit code 1 unless it succeeded. Ctrl-C leaves the job running."""
    with connect(url, key) as client:
        watch(client, resolve_id(client, "job", job_id), as_json=as_json)


def watch(client: BrokerClient, job_id: str, *, as_json: bool) -> None:
    """Follow a job, and say how it ended. Raises: typer.Exit, ApiError, NotReachable."""
    console = make_console(stderr=as_json)
    try:
        job = _follow(client, job_id, console)
    except KeyboardInterrupt:
        told = say("{job} goes on; come back to it with: broker jobs watch {job}", job=job_id)
        make_console(stderr=True).print(f"\n{told}", soft_wrap=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if as_json:
        write_json(job)
    else:
        _tell_end(console, job)
    if job["status"] != "succeeded":
        raise typer.Exit(ExitCode.PAUSED if job["status"] == "paused" else ExitCode.FAILED)


def _follow(client: BrokerClient, job_id: str, console: Console) -> Job:
    """Show a job's progress, by a bar or by lines, until it rests; returns it as it is then."""
    watched = Watched(console, job_id)
    with watched.bars if console.is_terminal else nullcontext():
        for job in client.watch_job(job_id, poll_seconds=POLL_SECONDS):
            watched.show(job)
    return job


class Watched:
    """What is seen of a job: a bar, or lines where the last one no longer holds."""

    def __init__(self, console: Console, job_id: str) -> None:
        self.console, self.last = console, ""
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
        facts = TextColumn("{task.fields[facts]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        self.bars = Progress(*columns, facts, console=console, expand=True)
        self.bar = self.bars.add_task(job_id, total=None, facts="")

    def show(self, job: Job) -> None:
        """Show how far the job is."""
        progress = job["progress"] or {}
        facts = [f"¥{describe_fen(job['cost'])}", _describe_loss(job), describe_why(job, datetime.now(UTC))]
        told = one_line("  ".join(fact for fact in facts if fact))
        if self.console.is_terminal:
            step, total = progress.get("step", 0), progress.get("total_steps")
            self.bars.update(self.bar, description=translate(job["status"]), total=total, completed=step, facts=told)
            return
        place = f"{translate(job['status'])} {describe_steps(job)}"
        if place != self.last:
            self.last = place
            self.console.print(f"{place}  {told}", soft_wrap=True)


def _describe_loss(job: Job) -> str:
    progress = job["progress"] or {}
    loss = progress.get("loss")
    return "" if loss is None else say("loss {loss}", loss=f"{loss:.3f}")


def _tell_end(console: Console, job: Job) -> None:
    hours, tokens = say("{hours} GPU-hours", hours=job["used_gpu_hours"]), describe_count(job["used_tokens"], "token")
    told = f"{job['id']} {translate(job['status'])}: {hours}, {tokens}, {describe_money(job['cost'])}"
    console.print(told, soft_wrap=True)
    why = describe_why(job, datetime.now(UTC))
    for line in [why, *(f"  {command}" for command in list_next_commands(job))]:
        if line:
            console.print(line, soft_wrap=True)
