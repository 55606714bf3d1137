"""A further process of `broker serve`: `python -m broker.processes.child_main` answers the API and does nothing else.

What it needs is one line of JSON on its standard input. That stays open for as long as its parent lives: when it ends,
however the parent came to its end, so does this process.
"""

import asyncio
import os
import socket
import sys
from typing import Any

from pydantic import BaseModel, SecretStr, field_serializer
from uvicorn.loops.auto import auto_loop_factory

from broker.app import create_app
from broker.config import Settings
from broker.processes.http_server import SharingServer
from broker.processes.logs import configure_logging
from broker.system import open_system
from broker.traces import SERVICE, tracing


class Order(BaseModel):
    """What the parent hands on: its settings, the application's URL of the database, the socket that it listens on."""

    settings: Settings
    database_url: str
    listener: int

    @field_serializer("settings")
    def _write_settings(self, settings: Settings) -> dict[str, Any]:
        """Write the secrets, too, which pydantic would mask: nobody but the child reads this."""
        secrets = {name: told for name, told in vars(settings).items() if isinstance(told, SecretStr)}
        return settings.model_dump(mode="json") | {name: told.get_secret_value() for name, told in secrets.items()}


async def serve_api(order: Order) -> None:
    """Answer requests until a signal comes, or the standard input ends: then the parent is gone."""
    server = SharingServer.of(create_app(open_system(order.settings, order.database_url)), order.settings)
    loop, lifeline = asyncio.get_running_loop(), sys.stdin.fileno()

    def end_with_parent() -> None:
        if not os.read(lifeline, 1):
            loop.remove_reader(lifeline)
            server.should_exit = True

    loop.add_reader(lifeline, end_with_parent)
    await server.serve(sockets=[socket.socket(fileno=order.listener)])


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        return  # the parent was gone before it had told us anything
    order = Order.model_validate_json(line)
    configure_logging(order.settings)
    with tracing(SERVICE), asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(serve_api(order))


if __name__ == "__main__":
    main()
