"""What happens to a job, as it comes: the stream of the REST API, each event in the lines that the clients read."""

import json
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.facades.passing import PassedOn
from broker.facades.sentences import level_of, tell_event
from broker.http.event_stream import MEDIA_TYPE
from broker.http.languages import Language

DATA = b"data: "


class JobEventStream(PassedOn):
    """The events of a job, one `data:` line of JSON each; a comment where nothing is new."""

    def __init__(self, app: ASGIApp, path: str, language: Language, say: Callable[[str], str]) -> None:
        super().__init__(app, path)
        self.language, self.say = language, say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [each for each in scope["headers"] if each[0] not in {b"accept", b"last-event-id"}]
        scope = {**scope, "headers": [*asked, (b"accept", MEDIA_TYPE.encode())]}
        rest, is_stream = b"", True

        async def send_rewritten(message: Message) -> None:
            nonlocal rest, is_stream
            if message["type"] == "http.response.start":
                is_stream = message["status"] < 400
            elif is_stream:
                *lines, rest = (rest + message.get("body", b"")).split(b"\n")
                message = {**message, "body": b"".join(self._rewrite(line) for line in lines)}
            await send(message)

        await super().__call__(scope, receive, send_rewritten)

    def _rewrite(self, line: bytes) -> bytes:
        """Write a line of the stream anew; ids and kinds are within the data, and the clients read nothing else."""
        if line.startswith(b":"):
            return line + b"\n\n"
        if not line.startswith(DATA):
            return b""
        event = json.loads(line.removeprefix(DATA))
        told = {
            "job_id": event["job_id"],
            "event_id": event["id"],
            "event": event["kind"],
            "level": level_of(event["kind"]),
            "message": tell_event(event["kind"], event["data"], self.language, self.say),
            "created_at": event["created_at"],
            "data": event["data"],
        }
        return b"data: %s\n\n" % json.dumps(told, ensure_ascii=False).encode()
