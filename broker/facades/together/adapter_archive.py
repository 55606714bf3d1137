"""An adapter as one tar, written as it is sent: peft's configuration, then the weights as the REST API has them."""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import Request, Response
from starlette.types import Message, Receive, Scope, Send

from broker.facades.passing import PassedOn

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BLOCK = tarfile.BLOCKSIZE
MEDIA_TYPE = "application/x-tar"
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


def write_head(adapter: Mapping[str, Any], config: Mapping[str, Any] | None) -> bytes:
    """Write what a tar has before the weights: the configuration, where the file tells one, and their own header."""
    moment = int(datetime.fromisoformat(adapter["created_at"]).timestamp())
    written = io.BytesIO()
    if config is not None:
        content = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
        written.write(_write_header(CONFIG, len(content), moment) + content + _pad(len(content)))
    written.write(_write_header(WEIGHTS, adapter["size_bytes"], moment))
    return written.getvalue()


def _write_header(name: str, size: int, moment: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, moment, 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _pad(size: int) -> bytes:
    return bytes(-size % BLOCK)


class AdapterArchive(Response):
    """The tar, or the part of it that is asked for: a client goes on where it broke off."""

    def __init__(self, request: Request, path: str, head: bytes, weights_bytes: int) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self.app, self.path, self.head, self.weights_bytes = request.app, path, head, weights_bytes
        self.tail = _pad(weights_bytes) + bytes(2 * BLOCK)
        self.size = len(head) + weights_bytes + len(self.tail)
        self.first, self.end, self.is_part = self._read_range(request.headers.get("range", ""))

    def _read_range(self, asked: str) -> tuple[int, int, bool]:
        """Read which bytes are asked for, the last not among them; all where it is no range of these."""
        found = RANGE.fullmatch(asked)
        if found is None or int(found[1]) >= self.size:
            return 0, self.size, False
        end = self.size if not found[2] else min(int(found[2]) + 1, self.size)
        return (int(found[1]), end, True) if end > int(found[1]) else (0, self.size, False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        before, after = len(self.head), len(self.head) + self.weights_bytes
        head, tail = self.head[self.first : self.end], self.tail[max(0, self.first - after) : max(0, self.end - after)]
        first, end = max(0, self.first - before), min(self.end, after) - before
        if first >= end:
            await send(self._write_start())
            await send({"type": "http.response.body", "body": head + tail})
            return
        is_given = False

        async def send_between(message: Message) -> None:
            """Send the weights between what is before and behind them; what the REST API refuses, as it says it."""
            nonlocal is_given
            if message["type"] == "http.response.start":
                is_given = message["status"] < 400
                await send(self._write_start() if is_given else message)
                if is_given:
                    await send({"type": "http.response.body", "body": head, "more_body": True})
                return
            is_last = not message.get("more_body", False)
            body = message.get("body", b"") + (tail if is_given and is_last else b"")
            await send({"type": "http.response.body", "body": body, "more_body": not is_last})

        others = [each for each in scope["headers"] if each[0] not in {b"range", b"if-range"}]
        asked = {**scope, "headers": [*others, (b"range", b"bytes=%d-%d" % (first, end - 1))]}
        await PassedOn(self.app, self.path)(asked, receive, send_between)

    def _write_start(self) -> Message:
        headers = {"content-type": MEDIA_TYPE, "accept-ranges": "bytes", "content-length": str(self.end - self.first)}
        if self.is_part:
            headers["content-range"] = f"bytes {self.first}-{self.end - 1}/{self.size}"
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        return {"type": "http.response.start", "status": 206 if self.is_part else 200, "headers": sent}
