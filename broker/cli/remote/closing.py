"""`broker close-month`: the list of a month before it is closed, and closing it with its progress."""

import time
from typing import Annotated, Any

import typer

from broker.cli.failures import CommandFailed
from broker.cli.output import make_console, one_line, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.texts.columns import Column, make_card, make_table
from broker.cli.words import say
from broker.client.typed import BrokerClient

POLL_SECONDS = 0.5
COLUMNS = (Column("point"), Column("open", right=True), Column(""), Column("what there is to do"))
REFUSALS = (Column("contract"), Column("month"), Column("why not"))

Month = Annotated[str, typer.Argument(help="Calendar month of the house, such as 2026-11.")]


def close_month(
    month: Month,
    accept: Annotated[
        list[str] | None, typer.Option("--accept", help="A point that blocks and may stay as it is; again for more.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what there is to see to.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Close a month: all its drafts become final, then its books are locked for good. It can be run again."""
    # The exit code is 1 where something could not be made final; it is named.
    with connect(url, key) as client:
        if dry_run:
            closing = client.get(f"/closings/{month}")
        else:
            client.post("/closings", {"month": month, "accept": accept or []})
            closing = _wait(client, month, tells=not as_json)
    if as_json:
        write_json(closing)
    else:
        _show(closing)
    if not dry_run and closing["status"] != "closed":
        raise CommandFailed(say("{month} is not closed: see to what is named, and run this again", month=month))


def _wait(client: BrokerClient, month: str, *, tells: bool) -> dict[str, Any]:
    console, told = make_console(), -1
    while True:
        closing: dict[str, Any] = client.get(f"/closings/{month}/progress")
        if tells and closing["contracts_done"] != told:
            told = closing["contracts_done"]
            console.print(
                say(
                    "{done} of {all} contracts",
                    done=f"{told:,}",
                    all=f"{closing['contracts_total']:,}",
                ),
                highlight=False,
            )
        if closing["status"] != "running":
            return dict(client.get(f"/closings/{month}"))
        time.sleep(POLL_SECONDS)


def _show(closing: dict[str, Any]) -> None:
    console = make_console()
    told = [
        ("Month", closing["month"]),
        ("Status", closing["status"]),
        (
            "Contracts",
            say(
                "{done} of {all}",
                done=f"{closing['contracts_done']:,}",
                all=f"{closing['contracts_total']:,}",
            ),
        ),
        ("Made final", say("{count} invoices", count=f"{closing['invoices_finalized']:,}")),
    ]
    write_lines(console, make_card(told, console.width))
    if closing["checklist"]:
        write_lines(console, make_table(COLUMNS, [_make_row(each) for each in closing["checklist"]]))
    if closing["refused"]:
        write_lines(console, make_table(REFUSALS, [_make_refusal(each) for each in closing["refused"]]))


def _make_row(point: dict[str, Any]) -> list[str]:
    stands = say("blocks") if point["blocks"] and point["open"] and not point["accepted"] else ""
    return [point["name"], str(point["open"]), stands, one_line(point["told"]) if point["open"] else say("nothing")]


def _make_refusal(refusal: dict[str, Any]) -> list[str]:
    return [refusal["contract_id"] or say("all"), refusal["month"] or "", one_line(refusal["reason"])]
