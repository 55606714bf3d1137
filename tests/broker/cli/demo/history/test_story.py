"""The history is written by the real services: whatever they do wrong together, its books tell."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.cli.demo.history.house import MADE_UP, House, open_house
from broker.cli.demo.history.run import check_books
from broker.cli.demo.history.scene import Scene, Span
from broker.cli.demo.history.story import live
from broker.cli.demo.history.timeline import VirtualClock
from broker.config import Settings
from broker.persistence.embedded import EmbeddedServer
from broker.processes.boot import DatabaseUrls
from tests.broker.databases import cloned_database

BEGIN = datetime(2026, 7, 31, 16, tzinfo=UTC)
KEPT = ("/customers", "/contracts", "/jobs", "/datasets", "/adapters", "/grants", "/invoices", "/ledger/entries")
NAMED = ("/customers", "/projects", "/datasets", "/api-keys", "/pools")


async def write(house: House, *, days: int, jobs: int) -> Scene:
    return await live(house, Span(BEGIN, BEGIN + timedelta(days=days)), jobs, lambda _now, _jobs: None)


@pytest.mark.slow
async def test_books_of_a_history_hold_and_all_of_it_says_that_it_is_made_up(
    settings: Settings, urls: DatabaseUrls
) -> None:
    async with open_house(settings, urls, VirtualClock(BEGIN), seed=3) as house:
        scene = await write(house, days=45, jobs=40)
        assert await check_books(scene, urls) == []
        admin = house.admin
        for path in NAMED:
            unmarked = [
                row["name"] for row in await admin.list_all(path) if MADE_UP not in row["name"].replace("-", " ")
            ]
            assert unmarked in ([], ["first administrator"]), path
        jobs = await admin.list_all("/jobs")
        assert {job["labels"]["made_up"] for job in jobs} == {"yes"}
        assert sum(job["used_gpu_seconds"] for job in jobs) > 0
        invoices = Counter((row["kind"], row["status"]) for row in await admin.list_all("/invoices"))
        assert all(invoices[each] for each in (("usage", "open"), ("advance", "paid"), ("advance", "void")))
        fapiao = await admin.list_all("/fapiao")
        assert Counter(row["status"] for row in fapiao) == {"issued": 3, "requested": 1}
        assert [row["number"] for row in fapiao if row["red_of_id"]] == ["25000000000000009001"]
        assert await admin.list_all("/credit-notes")
        assert {row["outcome"] for row in await admin.list_all("/payments")} >= {"matched", "unmatched"}
        assert (await admin.get("/closings/2026-08/progress"))["status"] == "closed"
        acts = {row["actor_id"] for row in await admin.list_all("/audit")}
        assert len(acts) >= 4, "decisions are recorded under who made them"


@pytest.mark.slow
async def test_same_seed_writes_the_same_history(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ids, times, usage and money are the same; keys alone are secrets, which no seed may make."""
    first, second, other = [
        await _write_and_read(server, tmp_path_factory.mktemp("history"), seed, days)
        for seed, days in ((3, 5), (3, 5), (4, 1))
    ]
    assert first["/jobs"]
    assert first == second
    assert len(first["/customers"]) == len(other["/customers"])  # who is there on the first day tells seeds apart
    assert {row["id"] for row in first["/customers"]}.isdisjoint(row["id"] for row in other["/customers"])


async def _write_and_read(server: EmbeddedServer, folder: Path, seed: int, days: int) -> dict[str, Any]:
    with cloned_database(server) as urls:
        async with open_house(Settings(data_dir=folder), urls, VirtualClock(BEGIN), seed) as house:
            await write(house, days=days, jobs=12 * days // 5)
            return {path: await house.admin.list_all(path) for path in KEPT}
