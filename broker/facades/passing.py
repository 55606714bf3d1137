"""Answers a request by what the REST API answers at another path: as it comes, in whatever parts are asked for."""

from collections.abc import Mapping

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What a request is, without what the way to its first route has added.
OF_A_REQUEST = frozenset(
    {"type", "asgi", "http_version", "scheme", "server", "client", "root_path", "headers", "extensions"}
)


class PassedOn(Response):
    """The answer of the REST API to the same bearer's GET of a path, with some headers besides; nothing is held back.

    A header that both have is the one given here.
    """

    def __init__(self, app: ASGIApp, path: str, query: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers=headers)
        self.app, self.path, self.query = app, path, query
        self.more = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {name: value for name, value in scope.items() if name in OF_A_REQUEST}
        asked |= {"method": "GET", "path": self.path, "raw_path": self.path.encode(), "query_string": self.query}
        ours = {name for name, _value in self.more}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                theirs = [each for each in message["headers"] if each[0].lower() not in ours]
                message = {**message, "headers": [*theirs, *self.more]}
            await send(message)

        await self.app(asked, receive, send_with_headers)
