"""Answers that leave in one piece."""

import asyncio
from typing import cast

from broker.processes.joined_writes import JoinedWrites


class Recording:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


def join_writes() -> tuple[Recording, JoinedWrites]:
    recording = Recording()
    return recording, JoinedWrites(cast("asyncio.Transport", recording))


async def test_head_and_body_of_one_turn_leave_together() -> None:
    recording, joined = join_writes()
    joined.write(b"head")
    joined.write(b"body")
    await asyncio.sleep(0)
    assert recording.written == [b"headbody"]


async def test_head_that_nothing_follows_leaves_in_the_same_turn() -> None:
    recording, joined = join_writes()
    joined.write(b"head")
    assert recording.written == []
    await asyncio.sleep(0)
    assert recording.written == [b"head"]
    joined.write(b"piece")
    await asyncio.sleep(0)
    assert recording.written == [b"head", b"piece"]


async def test_nothing_is_lost_when_the_connection_is_closed_at_once() -> None:
    recording, joined = join_writes()
    joined.write(b"all of it")
    joined.close()
    await asyncio.sleep(0)
    assert recording.written == [b"all of it"]
    assert joined.is_closing()


async def test_all_else_is_the_transports_own() -> None:
    _recording, joined = join_writes()
    assert joined.get_extra_info("peername") == "the peername"
