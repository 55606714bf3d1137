"""Calls in batches: each has its own answer, whoever else was decided with it, and however they were cut."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from broker import errors
from broker.persistence.batches import Batches


@dataclass
class Purse:
    """What is spent from it in batches; it refuses what it has not got, and waits for its gate before each batch."""

    left: int
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[list[int]] = field(default_factory=list)
    failure: Exception | None = None

    async def spend(self, _key: str, sums: Sequence[int]) -> list[int | Exception]:
        await self.gate.wait()
        self.batches.append(list(sums))
        if self.failure is not None:
            raise self.failure
        return [self._spend(each) for each in sums]

    def _spend(self, each: int) -> int | Exception:
        if each > self.left:
            return errors.InsufficientBalance(f"{each} of {self.left}", needed=each)
        self.left -= each
        return self.left


def collect(purse: Purse, *, wait_seconds: float = 600, most: int = 64) -> Batches[str, int, int]:
    return Batches(purse.spend, wait_seconds, most)


async def ask_all(batches: Batches[str, int, int], sums: Sequence[int]) -> list[asyncio.Task[int]]:
    """Have each asked by a client of its own, in this order, and let them get as far as they come."""
    clients = [asyncio.create_task(batches.ask("a", each)) for each in sums]
    await let_run()
    return clients


async def let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def end(clients: Sequence[asyncio.Task[int]]) -> list[str]:
    answers = await asyncio.gather(*clients, return_exceptions=True)
    return [str(answer) for answer in answers]


async def test_what_arrives_while_a_batch_is_decided_is_decided_together() -> None:
    purse = Purse(100)
    batches = collect(purse)
    first = await ask_all(batches, [1])
    others = await ask_all(batches, [2, 3, 4])
    purse.gate.set()
    assert await end([*first, *others]) == ["99", "97", "94", "90"]
    assert purse.batches == [[1], [2, 3, 4]]


async def test_one_that_is_refused_keeps_nobody_else_from_its_answer() -> None:
    purse = Purse(5)
    clients = await ask_all(collect(purse), [3, 4, 2])
    purse.gate.set()
    assert await end(clients) == ["2", "4 of 2", "0"]
    with pytest.raises(errors.InsufficientBalance):
        await clients[1]


async def test_what_fails_for_all_is_the_answer_of_all_and_the_next_batch_is_decided() -> None:
    purse = Purse(5, failure=OSError("the disk is full"))
    batches = collect(purse)
    clients = await ask_all(batches, [1, 1])
    purse.gate.set()
    assert await end(clients) == ["the disk is full"] * 2
    purse.failure = None
    assert await batches.ask("a", 1) == 4


async def test_a_wrong_number_of_answers_is_a_failure_of_all() -> None:
    async def forget_one(_key: str, sums: Sequence[int]) -> list[int | Exception]:
        return list(sums[1:])

    clients = await ask_all(Batches(forget_one, 600), [1, 2])
    assert all("shorter" in answer for answer in await end(clients))


@pytest.mark.parametrize("most", [1, 2, 3, 7, 64])
async def test_how_calls_are_cut_into_batches_changes_no_answer(most: int) -> None:
    sums = [5, 9, 1, 20, 3, 2, 8, 4, 4, 1, 1]
    purse = Purse(30)
    clients = await ask_all(collect(purse, most=most), sums)
    purse.gate.set()
    expected = Purse(30)
    assert await end(clients) == [str(expected._spend(each)) for each in sums]
    assert max(map(len, purse.batches)) <= most
    assert [each for batch in purse.batches for each in batch] == sums


async def test_keys_do_not_wait_for_each_other() -> None:
    stuck = asyncio.Event()

    async def decide(key: str, sums: Sequence[int]) -> list[int | Exception]:
        if key == "stuck":
            await stuck.wait()
        return list(sums)

    batches = Batches[str, int, int](decide, 600)
    held = asyncio.create_task(batches.ask("stuck", 1))
    assert await batches.ask("free", 2) == 2
    stuck.set()
    assert await held == 1


async def test_a_client_that_leaves_while_it_waits_is_not_decided_and_holds_up_nobody() -> None:
    purse = Purse(10)
    batches = collect(purse)
    first = await ask_all(batches, [1])
    others = await ask_all(batches, [2, 3])
    others[0].cancel()
    purse.gate.set()
    assert await end([*first, others[1]]) == ["9", "6"]
    assert purse.batches == [[1], [3]]


async def test_a_client_that_leaves_while_it_is_decided_is_decided_and_takes_nobody_with_it() -> None:
    purse = Purse(10)
    clients = await ask_all(collect(purse), [2, 3])
    clients[0].cancel()
    await let_run()
    purse.gate.set()
    assert await end([clients[1]]) == ["5"]
    assert purse.batches == [[2, 3]]


async def test_one_whose_turn_does_not_come_in_time_is_refused_and_never_decided() -> None:
    purse = Purse(10)
    batches = collect(purse, wait_seconds=0.01)
    first = await ask_all(batches, [1])
    late = await ask_all(batches, [2])
    with pytest.raises(errors.TooManyAtOnce, match="still under way"):
        await late[0]
    purse.gate.set()
    assert await end(first) == ["9"]
    assert await batches.ask("a", 4) == 5
    assert purse.batches == [[1], [4]]


async def test_nothing_is_kept_of_a_key_that_nobody_asks_for() -> None:
    purse = Purse(10)
    purse.gate.set()
    batches = collect(purse)
    await batches.ask("a", 1)
    await let_run()
    assert batches._queues == {}
    assert batches._tasks == set()


async def test_after_a_batch_of_several_those_who_send_again_share_the_next_one() -> None:
    purse = Purse(100)
    batches = Batches(purse.spend, 600, gather_seconds=0.01)

    async def ask_twice(each: int) -> None:
        for _ in range(2):
            await batches.ask("a", each)

    clients = [asyncio.create_task(ask_twice(each)) for each in (1, 2, 3)]
    await let_run()
    clients.append(asyncio.create_task(batches.ask("a", 4)))
    await let_run()
    purse.gate.set()
    await asyncio.gather(*clients)
    assert purse.batches == [[1, 2, 3], [4, 1, 2, 3]]


async def test_the_next_batch_is_taken_as_soon_as_as_many_wait_as_the_last_one_had() -> None:
    purse = Purse(100)
    purse.gate.set()
    batches = Batches(purse.spend, 600, gather_seconds=600)
    await asyncio.gather(*(batches.ask("a", each) for each in (1, 2, 3)))
    await asyncio.gather(*(batches.ask("a", each) for each in (4, 5, 6)))
    assert purse.batches == [[1, 2, 3], [4, 5, 6]]
    assert batches._gathering == {}


async def test_a_key_waits_for_as_many_as_itself_had() -> None:
    purse = Purse(100)
    purse.gate.set()
    batches = Batches(purse.spend, 600, gather_seconds=600)
    await asyncio.gather(*(batches.ask("a", each) for each in (1, 2, 3)))
    await asyncio.gather(*(batches.ask("b", each) for each in (4, 5)))
    await batches.ask("b", 6)
    assert purse.batches == [[1, 2, 3], [4, 5], [6]]
