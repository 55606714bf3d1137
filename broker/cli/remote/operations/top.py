"""`broker top`: what ops sees, on a page that redraws itself; as plain text where nobody looks."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from broker.cli.output import cut, find_line_width, make_console, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.texts.operations import make_page
from broker.cli.words import say
from broker.client.errors import NotReachable
from broker.client.typed import BrokerClient


def show_top(
    interval: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Show the page once and end.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show queues, pools, contracts and why jobs wait, redrawn every second; on a pipe once, as plain text."""
    console = make_console()
    with connect(url, key) as client:
        if as_json:
            write_json(client.get_overview())
        elif once or not console.is_terminal:
            write_lines(console, make_page(client.get_overview(), datetime.now(UTC), None))
        else:
            _redraw(client, console, interval)


def _redraw(client: BrokerClient, console: Console, interval: float) -> None:
    """Redraw the page until it is interrupted; a broker that is away is waited for, and the page says so."""
    seen = client.get_overview()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        away = ""
        try:
            while True:
                lines = make_page(seen, datetime.now(UTC), console.height - 1)
                shown = [cut(line, find_line_width(console)) for line in ([Text(away, "red")] if away else []) + lines]
                live.update(Group(*shown), refresh=True)
                time.sleep(interval)
                try:
                    seen, away = client.get_overview(), ""
                except NotReachable as error:
                    away = say("{error}; the page is as it was", error=error)
        except KeyboardInterrupt:
            return
