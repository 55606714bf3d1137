"""A bar while files go or come, for whoever looks at a terminal; nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from broker.cli.output import one_line
from broker.client.transfers import Progress


@contextmanager
def showing_bytes(console: Console, label: str) -> Iterator[Progress | None]:
    """Show how far a transfer is while it lasts; hands out what is told the bytes, None where nobody looks."""
    if not console.is_terminal:
        yield None
        return
    from rich import progress as bars  # noqa: PLC0415 (programs do not look at bars)

    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(bar_width=20), bars.DownloadColumn())
    with bars.Progress(*columns, bars.TransferSpeedColumn(), console=console, transient=True) as shown:
        bar = shown.add_task(one_line(label), total=None)
        yield lambda done, total: shown.update(bar, completed=done, total=total)
