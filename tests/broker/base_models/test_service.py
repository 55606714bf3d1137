"""Adding a base model: the same files once, one name for one model."""

import asyncio
import contextlib

import pytest

from broker import errors
from broker.base_models.service import add_model, list_added, read_offer, remove_model
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.base_models.descriptions import describe_tiny
from tests.broker.rows import owner_connection


async def test_same_files_again_change_nothing(system: System) -> None:
    async with system.work() as work:
        first = await add_model(work, describe_tiny("tiny"))
    async with system.work() as work:
        assert (await add_model(work, describe_tiny("Tiny"))).id == first.id
        assert len(await list_added(work)) == 1


async def test_name_that_stands_for_other_files_is_refused_with_the_cure(system: System) -> None:
    async with system.work() as work:
        await add_model(work, describe_tiny("tiny"))
    with pytest.raises(errors.NameTaken, match="broker models remove tiny"):
        async with system.work() as work:
            await add_model(work, describe_tiny("tiny", sha256="b" * 64))


async def test_two_who_add_one_name_at_once_do_not_both_succeed(system: System) -> None:
    async def add(sha256: str) -> None:
        async with system.work() as work:
            await add_model(work, describe_tiny("tiny", sha256=sha256))
            await asyncio.sleep(0.05)

    done = await asyncio.gather(add("a" * 64), add("b" * 64), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["NameTaken", "NoneType"]


class TakenBack(Exception):
    """An addition is rolled back."""


async def test_addition_that_is_rolled_back_is_not_taken_for_the_next_one(system: System) -> None:
    """A count of additions was the same for both: one process went on to offer the first."""
    with contextlib.suppress(TakenBack):
        async with system.work() as work:
            await add_model(work, describe_tiny("first"))
            assert (await read_offer(work)).find("first") is not None
            raise TakenBack
    async with system.work() as work:
        await add_model(work, describe_tiny("second"))
    async with system.work() as work:
        offered = await read_offer(work)
    assert (offered.find("first"), offered.find("second") is None) == (None, False)


async def test_model_that_is_not_there_is_not_removed(system: System) -> None:
    with pytest.raises(errors.NotFound):
        async with system.work() as work:
            await remove_model(work, "smollm2-135m-instruct")


async def test_model_whose_profile_cannot_be_read_keeps_no_other_from_being_quoted(
    system: System, urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one that an earlier release has described: all quotes read the offer."""
    async with system.work() as work:
        await add_model(work, describe_tiny("tiny"))
        await add_model(work, describe_tiny("old", sha256="b" * 64))
    with owner_connection(urls) as connection:
        connection.execute("""UPDATE base_models SET profile = '{"name": 7}' WHERE name = 'old'""")
    async with system.work() as work:
        offered = await read_offer(work)
    assert (offered.find("tiny") is None, offered.find("old") is None) == (False, True)
    assert offered.find("smollm2-135m-instruct") is not None
    assert "base model old is not on offer" in caplog.text
