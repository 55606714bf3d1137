"""Calls of many keys in one batch: what fails for one of them is decided apart, and keeps no other waiting."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
import pytest

from broker.persistence.joint_batches import JointBatches

Called = tuple[str, int]


@dataclass
class Desk:
    """Decides calls by doubling them; a batch that has a call of a key in `failures` fails as that says."""

    failures: dict[str, Exception] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    together: list[list[Called]] = field(default_factory=list)
    apart: list[list[Called]] = field(default_factory=list)

    async def decide_together(self, calls: Sequence[Called]) -> list[int | Exception]:
        self.together.append(list(calls))
        await asyncio.sleep(0)
        for key, _number in calls:
            if key in self.failures:
                raise self.failures[key]
        return [2 * number for _key, number in calls]

    async def decide_apart(self, _key: str, calls: Sequence[Called]) -> list[int | Exception]:
        self.apart.append(list(calls))
        await self.gate.wait()
        return [2 * number for _key, number in calls]

    def collect(self, groups: int = 1) -> JointBatches[str, Called, int]:
        return JointBatches(self.decide_together, self.decide_apart, 600, groups=groups)


async def ask_all(batches: JointBatches[str, Called, int], calls: Sequence[Called]) -> list[asyncio.Task[int]]:
    clients = [asyncio.create_task(batches.ask(key, (key, number))) for key, number in calls]
    for _ in range(10):
        await asyncio.sleep(0)
    return clients


async def test_calls_of_several_keys_are_decided_in_one_batch() -> None:
    desk = Desk()
    clients = await ask_all(desk.collect(), [("a", 1), ("b", 2), ("c", 3)])
    assert await asyncio.gather(*clients) == [2, 4, 6]
    assert sorted(call for batch in desk.together for call in batch) == [("a", 1), ("b", 2), ("c", 3)]
    assert len(desk.together) < 3


@pytest.mark.parametrize("failure", [psycopg.errors.LockNotAvailable(), ValueError("a fault of our own")])
async def test_a_batch_that_fails_is_decided_key_by_key_and_others_go_on(failure: Exception) -> None:
    desk = Desk({"stuck": failure})
    batches = desk.collect()
    stuck = await ask_all(batches, [("stuck", 1)])
    further = await ask_all(batches, [("b", 2), ("stuck", 3), ("c", 4)])
    assert await asyncio.gather(further[0], further[2]) == [4, 8]
    assert [key for batch in desk.together[1:] for key, _number in batch] == ["b", "c"]
    desk.gate.set()
    assert await asyncio.gather(*stuck, further[1]) == [2, 6]
    assert desk.apart == [[("stuck", 1)], [("stuck", 3)]]


async def test_all_are_told_where_the_database_is_away() -> None:
    desk = Desk({"a": psycopg.OperationalError("gone")})
    with pytest.raises(psycopg.OperationalError, match="gone"):
        await desk.collect().ask("a", ("a", 1))
    assert desk.apart == []


def test_each_key_is_in_one_group_and_the_groups_share_them_out() -> None:
    batches, again = Desk().collect(groups=2), Desk().collect(groups=2)
    keys = [f"cus_{number}" for number in range(40)]
    found = [batches.find_group(key) for key in keys]
    assert found == [again.find_group(key) for key in keys]
    assert 10 < sum(found) < 30


async def test_what_is_expected_to_fail_a_batch_is_not_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for expected, told in ((), 1), ((ValueError,), 0):
        caplog.clear()
        desk = Desk({"a": ValueError("a fault of our own")})
        desk.gate.set()
        batches = JointBatches[str, Called, int](desk.decide_together, desk.decide_apart, 600, expected=expected)
        assert await batches.ask("a", ("a", 1)) == 2
        assert len(caplog.records) == told


async def test_a_call_that_asks_for_it_is_decided_apart_at_once() -> None:
    desk = Desk()
    desk.gate.set()
    assert await desk.collect().ask_apart("a", ("a", 1)) == 2
    assert (desk.together, desk.apart) == ([], [[("a", 1)]])
