"""`broker demo --history`: writes the history into an empty database, shows how far it is, says what to look at."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import make_url
from uvicorn.loops.auto import auto_loop_factory

from broker.cli.demo.history.house import MADE_UP, open_house
from broker.cli.demo.history.scene import Scene, Span
from broker.cli.demo.history.story import Tell, live
from broker.cli.demo.history.timeline import VirtualClock
from broker.cli.demo.history.voices import HistoryFailed
from broker.client_file import local_url
from broker.clock import local_day, month_start, previous_month, system_clock
from broker.config import Settings
from broker.errors import OperatorError
from broker.identity.service import select_customers
from broker.processes.boot import DatabaseUrls, database_urls, migrate_database
from broker.processes.http_server import spare_what_stays
from broker.reports.reconciliation import reconcile_books
from broker.reports.verify import verify_database
from broker.system import open_system

HISTORY_DATA_DIR = Path("var/history")
MONTHS = 3
FINISHED, MOST_NAMES = "history.json", 100


@dataclass(frozen=True)
class HistoryOptions:
    """What is to be written: the same seed, jobs and day make the same history."""

    seed: int
    jobs: int
    last_day: date | None = None


def write_history(settings: Settings, options: HistoryOptions) -> int:
    """Write the history and check the books; returns the exit code, 0 only where every rule holds.

    Raises: OperatorError, where the database has customers.
    """
    if "data_dir" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data_dir": HISTORY_DATA_DIR})
    console, began = Console(soft_wrap=True), time.monotonic()
    with database_urls(settings) as urls:
        with console.status("starting PostgreSQL and making the tables"):
            migrate_database(urls)
        spare_what_stays()
        try:
            with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop, as served processes have it
                broken = runner.run(_write(settings, write_lazily(urls), options, console))
        except HistoryFailed as error:
            console.print("[red]The history failed:[/]", escape(str(error)))
            console.print(f"It is broken off: remove {settings.data_dir}, or name another folder with --data-dir.")
            return 1
    _say_what_next(settings, console, time.monotonic() - began)
    for line in broken:
        console.print(f"[red]{line}[/]")
    return 1 if broken else 0


def write_lazily(urls: DatabaseUrls) -> DatabaseUrls:
    """Let no commit wait for the disk: a history that a power cut takes the end of is one that was broken off."""
    url = make_url(urls.app).update_query_dict({"options": "-csynchronous_commit=off"})
    return replace(urls, app=url.render_as_string(hide_password=False))


async def _write(settings: Settings, urls: DatabaseUrls, options: HistoryOptions, console: Console) -> list[str]:
    await refuse_customers(settings, urls)
    yesterday = local_day(system_clock() - timedelta(days=1), settings.time_zone)
    span = plan_span(options.last_day or yesterday, settings.time_zone)
    async with open_house(settings, urls, VirtualClock(span.begin), options.seed) as house:
        with _show_progress(console, span) as tell:
            scene = await live(house, span, options.jobs, tell)
        await _describe(scene, console)
        broken = await check_books(scene, urls)
    _note_finished(settings.data_dir, options, span)
    return broken


def plan_span(last_day: date, time_zone: str) -> Span:
    """Plan the time of a history: three whole months, and that of its last day as far as it is by then. Pure."""
    month = begin = f"{last_day:%Y-%m}"
    for _month in range(MONTHS):
        begin = previous_month(begin)
    return Span(month_start(begin, time_zone), month_start(month, time_zone) + timedelta(days=last_day.day))


async def refuse_customers(settings: Settings, urls: DatabaseUrls) -> None:
    """Refuse a database that has customers. Raises: OperatorError, with the way out."""
    system = open_system(settings, urls.app)
    try:
        async with system.work() as work:
            rows = await work.session.scalars(select_customers().limit(MOST_NAMES))
            names = [customer.name for customer in rows]
    finally:
        await system.database.close()
    if names:
        raise OperatorError(explain_refusal(settings.data_dir, names, are_given=urls.are_given))


def explain_refusal(folder: Path, names: list[str], *, are_given: bool) -> str:
    """Explain what stands in the way of a history, and what to do. Pure but for a look at the folder."""
    place = "the database of BROKER_DATABASE_URL" if are_given else str(folder)
    elsewhere = "name an empty database" if are_given else "name another folder with --data-dir"
    if not all(name.endswith(f"({MADE_UP})") for name in names):
        return f"{place} has customers of its own, and a history is written beside none: {elsewhere}"
    if (folder / FINISHED).exists():
        return f"{place} holds a history already; look at it, or {elsewhere}"
    again = "drop that database, create it anew" if are_given else f"remove the folder {folder}"
    return f"{place} holds a history that was broken off: {again} and run this again"


def _note_finished(folder: Path, options: HistoryOptions, span: Span) -> None:
    told = {"seed": options.seed, "jobs": options.jobs, "begin": span.begin.isoformat(), "end": span.end.isoformat()}
    (folder / FINISHED).write_text(json.dumps(told) + "\n", encoding="utf-8")


@contextmanager
def _show_progress(console: Console, span: Span) -> Iterator[Tell]:
    """Show a bar of the days of a history, with the jobs so far."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn()
    if not console.is_terminal:
        yield partial(_tell_month, console)
        return
    with Progress(*columns, console=console) as shown:
        task = shown.add_task("signing twelve customers up", total=span.days)

        def tell(now: datetime, jobs: int) -> None:
            shown.update(task, completed=(now - span.begin).days, description=f"{now:%Y-%m-%d}, {jobs} jobs")

        yield tell


def _tell_month(console: Console, now: datetime, jobs: int) -> None:
    """Tell where nobody watches a bar how far it is: a line for each month."""
    if now.day == 1:
        console.print(f"{now:%Y-%m-%d}, {jobs} jobs")


async def _describe(scene: Scene, console: Console) -> None:
    """Say how much there is of what."""
    counts = {}
    for path in ("/customers", "/jobs", "/adapters", "/invoices", "/credit-notes", "/fapiao"):
        counts[path.strip("/").replace("-", " ")] = len(await scene.house.admin.list_all(path))
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    refused = f"{scene.submitting.refused} submissions were refused" if scene.submitting.refused else ""
    console.print(f"{scene.span.begin:%Y-%m-%d} to {scene.span.end:%Y-%m-%d}: {told}; {refused}")


async def check_books(scene: Scene, urls: DatabaseUrls) -> list[str]:
    """Check every rule of the ledger, and the way from usage to payments; returns what is broken, in a line each."""
    broken = [f"{each.rule}: {each.broken[0]}" for each in await verify_database(urls.app) if each.broken]
    async with scene.house.system.work() as work:
        links = await reconcile_books(work)
    return broken + [f"{link.name} differs for {link.differences[0]}" for link in links if link.differences]


def _say_what_next(settings: Settings, console: Console, seconds: float) -> None:
    folder = settings.data_dir
    console.print(f"Written in {seconds:.0f} s. All of it is {MADE_UP}: no name, sum or file is anybody's.")
    console.print(f"  BROKER_DATA_DIR={folder} broker serve")
    console.print(f"  export BROKER_DATA_DIR={folder} BROKER_API_KEY=$(cat {settings.admin_key_path})")
    console.print("  broker invoices list; broker reports monthly-cost; broker ledger verify; broker queues list")
    console.print(f"  console: {local_url(settings.host, settings.port)}/console/, signed in with that key")
