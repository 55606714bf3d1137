"""A light load generator: keep-alive connections that each send requests written beforehand, in a process of its own.

A general client costs as much time as the server that it measures, on the same cores and, in a thread of the
benchmark, under the same lock. This one writes bytes, reads a status and a length, and does nothing else.
"""

import asyncio
import itertools
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

CONNECTIONS = 4
SECONDS = 4.0


@dataclass(frozen=True)
class Target:
    """Where to send, and the bodies that are sent in turn; no body makes a GET.

    `once`: no body is sent again. `named`: each request has an Idempotency-Key of its own.
    """

    port: int
    path: str
    status: int = 200
    token: str = ""
    bodies: Sequence[Any] = field(default_factory=tuple)
    once: bool = False
    named: bool = False

    def write_requests(self) -> Iterator[bytes]:
        """Write the requests in the order in which they are sent: without an end, unless each is sent once."""
        head = f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
        if not self.bodies:
            return itertools.repeat(f"GET {self.path} HTTP/1.1\r\n{head}\r\n".encode())
        posts = [_write_post(self.path, head, json.dumps(body).encode()) for body in self.bodies]
        requests = iter(posts) if self.once else itertools.cycle(posts)
        return map(_name, requests) if self.named else requests


def _write_post(path: str, head: str, body: bytes) -> bytes:
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{head}{kind}\r\n".encode() + body


def _name(post: bytes) -> bytes:
    """Give a request an Idempotency-Key that no other has."""
    line, rest = post.split(b"\r\n", 1)
    return b"%s\r\nIdempotency-Key: %s\r\n%s" % (line, secrets.token_hex(12).encode(), rest)


@dataclass(frozen=True)
class Load:
    """The answers of some seconds, and the first one of each connection before them, which warmed the server up."""

    answers: int
    seconds: float
    warm_up: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def measure_rate(target: Target, connections: int = CONNECTIONS) -> float:
    """Answers a second. Raises: CalledProcessError, where one had another status."""
    return measure_load(spread(target, connections)).rate


def spread(target: Target, connections: int) -> list[Target]:
    """Share a target's bodies out among so many connections."""
    shares = [target.bodies[number::connections] for number in range(connections)]
    return [replace(target, bodies=share or target.bodies) for share in shares]


def measure_load(targets: Sequence[Target], seconds: float = SECONDS) -> Load:
    """Load a server by one connection for each target. Raises: CalledProcessError, where one had another status."""
    command = [sys.executable, "-m", "benchmarks.load", str(seconds)]
    told = json.dumps([asdict(target) for target in targets])
    done = subprocess.run(command, input=told, stdout=subprocess.PIPE, text=True, check=True)
    return Load(**json.loads(done.stdout))


async def count_answers(targets: Sequence[Target], seconds: float) -> Load:
    aimed = [(target, target.write_requests()) for target in targets]
    await asyncio.gather(*(ask(*each, seconds=0.0) for each in aimed))  # the server is warm
    begun = time.monotonic()
    counts = await asyncio.gather(*(ask(*each, seconds=seconds) for each in aimed))
    return Load(sum(counts), time.monotonic() - begun, len(targets))


async def ask(target: Target, requests: Iterator[bytes], *, seconds: float) -> int:
    """One connection: the next request as soon as the answer is there.

    Raises: ValueError, for another status, or where the requests run out: then the rate would be of too few.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    deadline, count = time.monotonic() + seconds, 0
    while count == 0 or time.monotonic() < deadline:
        request = next(requests, None)
        if request is None:
            raise ValueError(f"{target.path} was given too few bodies: {count} were sent, and there is time left")
        writer.write(request)
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
    loads = [Target(**told) for told in json.load(sys.stdin)]
    print(json.dumps(asdict(asyncio.run(count_answers(loads, float(sys.argv[1]))))))
