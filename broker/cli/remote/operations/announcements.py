"""`broker announcements`: what customers should know; made and ended by ops."""

from typing import Annotated

import typer

from broker.cli.output import one_line, speak, write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table_with_notes
from broker.cli.texts.columns import Column
from broker.cli.texts.values import DASH
from broker.cli.words import say
from broker.client.objects.jobs import Notice

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Announcements to customers: list, create, end.")

COLUMNS = (Column("announcement"), Column("kind"), Column("pool"), Column("from"), Column("until"))


@app.command("list")
def list_announcements(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List what is announced and not over, and when pools are worked on."""
    with connect(url, key) as client:
        notices = collect_page(client.list_all("/announcements"))
    write_table_with_notes(notices, COLUMNS, _make_row, _make_note, as_json=as_json)


def _make_row(notice: Notice) -> list[str]:
    until = DASH if notice["ends_at"] is None else notice["ends_at"][:16]
    # That of maintenance is no id to end it by: its pool's plan is changed.
    shown = notice["id"] if notice["kind"] == "announcement" else DASH
    return [shown, notice["kind"], one_line(notice["pool"] or DASH), notice["begins_at"][:16], until]


def _make_note(notice: Notice) -> str:
    return one_line(speak(notice["message"], notice["message_zh"]))


@app.command("create")
def create_announcement(
    message: Annotated[str, typer.Argument(help="What customers should know.")],
    chinese: Annotated[str | None, typer.Option("--zh", metavar="TEXT", help="The same in Chinese.")] = None,
    pool: Annotated[str | None, typer.Option(help="The pool that it is of: jobs there get an event.")] = None,
    begins_at: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begin; default: now.")] = None,
    ends_at: Annotated[str | None, typer.Option("--until", metavar="TIME", help="End; default: until ended.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Announce something to customers: listed, on the pages of jobs, until it ends."""
    more = {"message_zh": chinese, "pool": pool, "begins_at": begins_at, "ends_at": ends_at}
    with connect(url, key) as client:
        notice = client.announce(message, **more)
    _tell(notice, "announced", as_json=as_json)


@app.command("end")
def end_announcement(
    announcement: Annotated[str, typer.Argument(metavar="ANNOUNCEMENT", help="Its id.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """End an announcement: it is listed no longer."""
    with connect(url, key) as client:
        notice = client.end_announcement(announcement)
    _tell(notice, say("ended"), as_json=as_json)


def _tell(notice: Notice, what: str, *, as_json: bool) -> None:
    write_answer(notice, say("{id} is {what}.", id=notice["id"], what=what), as_json=as_json)
