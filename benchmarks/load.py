"""A light load generator: keep-alive connections that each send requests written beforehand, in a process of its own.

A general client costs as much time as the server that it measures, on the same cores and, in a thread of the
benchmark, under the same lock. This one writes bytes, reads a status and a length, and does nothing else.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

CONNECTIONS = 4
SECONDS = 4.0


@dataclass(frozen=True)
class Target:
    """Where to send, and the bodies that are sent in turn; no body makes a GET."""

    port: int
    path: str
    status: int = 200
    token: str = ""
    bodies: Sequence[Any] = field(default_factory=tuple)

    def write_requests(self) -> list[bytes]:
        head = f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
        if not self.bodies:
            return [f"GET {self.path} HTTP/1.1\r\n{head}\r\n".encode()]
        return [_write_post(self.path, head, json.dumps(body).encode()) for body in self.bodies]


def _write_post(path: str, head: str, body: bytes) -> bytes:
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{head}{kind}\r\n".encode() + body


def measure_rate(target: Target) -> float:
    """Answers a second. Raises: CalledProcessError, where one had another status."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(target)), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


async def count_answers(target: Target) -> float:
    requests = target.write_requests()
    await asyncio.gather(*(ask(target, requests[:1], 0.0) for _ in range(CONNECTIONS)))  # the server is warm
    begun = time.monotonic()
    counts = await asyncio.gather(
        *(ask(target, requests[number::CONNECTIONS] or requests, SECONDS) for number in range(CONNECTIONS))
    )
    return sum(counts) / (time.monotonic() - begun)


async def ask(target: Target, requests: Sequence[bytes], seconds: float) -> int:
    """One connection: the next request as soon as the answer is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    deadline, count = time.monotonic() + seconds, 0
    while count == 0 or time.monotonic() < deadline:
        writer.write(requests[count % len(requests)])
        await read_answer(reader, target.status)
        count += 1
    writer.close()
    await writer.wait_closed()
    return count


async def read_answer(reader: asyncio.StreamReader, status: int) -> None:
    """Read the answer of a request. Raises: ValueError, for another status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    body = await reader.readexactly(length)
    if head.split(b" ", 2)[1] != str(status).encode():
        raise ValueError(f"answered {head.decode()}{body.decode()}")


if __name__ == "__main__":
    print(asyncio.run(count_answers(Target(**json.load(sys.stdin)))))
