"""Starting on a database that others use: one secret, one storage, one address, or no start."""

import asyncio
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.capacity.agents import register_agent, retire_agent
from broker.config import Settings
from broker.errors import OperatorError
from broker.identity.service import create_customer
from broker.notices.contacts import NewContact, add_contact, find_url
from broker.notices.model import Language
from broker.notices.tables import NoticeContact
from broker.processes.boot import DatabaseUrls, prepare
from broker.processes.installation import accept_settings, reseal_all
from broker.system import System, open_system
from broker.webhooks.endpoints import NewEndpoint, create_endpoint, get_endpoint, list_keys, rotate_secret
from broker.webhooks.model import EventType
from tests.broker.pools import make_card
from tests.broker.rows import owner_connection

ADDRESS = "http://broker:8000"


def own_settings(folder: Path, **fields: Any) -> Settings:
    """Make the settings of a process with a data directory of its own, one secret and one storage for all."""
    shared = {"secret_key": "0123456789abcdef", "storage_dir": folder.parent / "storage"}
    return Settings(**{"data_dir": folder, "local_slots": 0, **shared, **fields})


async def start(settings: Settings, urls: DatabaseUrls) -> Settings:
    """Start a process and end it; returns the settings that it would have run with."""
    system = await prepare(settings, urls)
    await system.database.close()
    return system.services.settings


def read_installation(urls: DatabaseUrls) -> dict[str, Any]:
    with owner_connection(urls) as connection:
        (row,) = connection.execute("SELECT * FROM installation").fetchall()
    return dict(row)


async def test_first_start_founds_the_installation_and_its_storage(tmp_path: Path, urls: DatabaseUrls) -> None:
    settings = own_settings(tmp_path / "a")
    await start(settings, urls)
    row = read_installation(urls)
    assert (settings.storage_root / ".storage-id").read_text().strip() == row["storage_id"]
    assert row["public_url"] is None
    assert settings.secret_key not in str(row)


async def test_second_process_with_the_same_secret_and_storage_starts(tmp_path: Path, urls: DatabaseUrls) -> None:
    await start(own_settings(tmp_path / "a"), urls)
    row = read_installation(urls)
    await start(own_settings(tmp_path / "b"), urls)
    assert read_installation(urls) == row


async def test_first_starts_at_once_found_one_installation(tmp_path: Path, urls: DatabaseUrls) -> None:
    await asyncio.gather(*(start(own_settings(tmp_path / name), urls) for name in "abc"))
    assert read_installation(urls)["storage_id"].startswith("sto_")


async def test_another_secret_is_refused_and_nothing_is_written(tmp_path: Path, urls: DatabaseUrls) -> None:
    """A past fault: its runs were answered 401, and each job burnt five attempts in nine seconds."""
    await start(own_settings(tmp_path / "a"), urls)
    row = read_installation(urls)
    for wrong in ({"secret_key": "another-secret-key"}, {"secret_key": None}):
        with pytest.raises(OperatorError, match=r"^BROKER_SECRET_KEY: [^\n]*$"):
            await start(own_settings(tmp_path / "b", public_url=ADDRESS, **wrong), urls)
    assert read_installation(urls) == row
    assert not (tmp_path / "b" / "admin.key").exists()


async def test_storage_that_is_not_the_others_is_refused(tmp_path: Path, urls: DatabaseUrls) -> None:
    """A past fault: a second broker answered 500 for every file that the first had stored."""
    await start(own_settings(tmp_path / "a"), urls)
    empty, other = tmp_path / "empty", tmp_path / "other"
    other.mkdir()
    (other / ".storage-id").write_text("sto_other\n")
    for wrong in (None, empty, other):
        with pytest.raises(OperatorError, match=r"^BROKER_STORAGE_DIR: [^\n]*$"):
            await start(own_settings(tmp_path / "b", storage_dir=wrong), urls)
    assert not empty.exists(), "a wrong folder is not made"


async def test_storage_that_cannot_be_used_is_refused(tmp_path: Path, urls: DatabaseUrls) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OperatorError, match=r"^BROKER_STORAGE_DIR: [^\n]*Not a directory[^\n]*$"):
        await start(own_settings(tmp_path / "a", storage_dir=tmp_path / "file"), urls)


async def test_storage_that_was_moved_is_known_again(tmp_path: Path, urls: DatabaseUrls) -> None:
    settings = own_settings(tmp_path / "a")
    await start(settings, urls)
    shutil.move(settings.storage_root, tmp_path / "moved")
    await start(own_settings(tmp_path / "a", storage_dir=tmp_path / "moved"), urls)


async def test_first_named_address_is_everybodys(tmp_path: Path, urls: DatabaseUrls) -> None:
    await start(own_settings(tmp_path / "a"), urls)
    await start(own_settings(tmp_path / "b", public_url=ADDRESS), urls)
    assert (await start(own_settings(tmp_path / "c", public_url=ADDRESS + "/"), urls)).worker_url == ADDRESS
    assert (await start(own_settings(tmp_path / "a"), urls)).worker_url == ADDRESS
    with pytest.raises(OperatorError, match=r"^BROKER_PUBLIC_URL: is http://other:1, but [^\n]*$"):
        await start(own_settings(tmp_path / "d", public_url="http://other:1"), urls)


async def accept(settings: Settings, urls: DatabaseUrls) -> None:
    system = open_system(settings, urls.app)
    try:
        async with system.work() as work:
            await accept_settings(work)
    finally:
        await system.database.close()


async def test_operator_changes_secret_storage_and_address_for_all(tmp_path: Path, urls: DatabaseUrls) -> None:
    await start(own_settings(tmp_path / "a", public_url=ADDRESS), urls)
    changed = {
        "secret_key": "another-secret-key",
        "storage_dir": tmp_path / "elsewhere",
        "public_url": "http://other:1",
    }
    await accept(own_settings(tmp_path / "a", **changed), urls)
    assert (await start(own_settings(tmp_path / "b", **changed), urls)).worker_url == "http://other:1"
    with pytest.raises(OperatorError, match=r"^BROKER_SECRET_KEY: "):
        await start(own_settings(tmp_path / "a"), urls)


async def test_nothing_is_changed_while_an_agent_is_there(tmp_path: Path, urls: DatabaseUrls) -> None:
    settings = own_settings(tmp_path / "a")
    system = await prepare(settings, urls)
    async with system.work() as work:
        await register_agent(work, make_card())
    with pytest.raises(OperatorError, match=r"agents still run: /var/broker on machine-1 \(pool test\); end them"):
        await accept(own_settings(tmp_path / "a", secret_key="another-secret-key"), urls)
    async with system.work() as work:
        await retire_agent(work, make_card())
    await accept(own_settings(tmp_path / "a", secret_key="another-secret-key"), urls)
    await system.database.close()


async def test_database_that_was_never_started_on_has_nothing_to_change(tmp_path: Path, urls: DatabaseUrls) -> None:
    with pytest.raises(OperatorError, match="has no installation yet"):
        await accept(own_settings(tmp_path / "a"), urls)


async def test_what_the_former_secret_has_sealed_is_sealed_anew(system: System) -> None:
    former, changed = system, replace(system, services=replace(system.services, secret=b"the one after"))
    bot = "wecombot://a-key-that-nobody-sees"
    async with former.work() as work:
        customer = await create_customer(work, "Tea")
        contact = await add_contact(work, NewContact(customer.id, "Ann", Language.EN, url=bot))
        new = NewEndpoint(customer.id, "CI", "https://hooks.example.com/", [EventType.JOB_ENDED])
        endpoint, before = await create_endpoint(work, new)
        _row, after = await rotate_secret(work, endpoint.id, timedelta(hours=1))
    async with changed.work() as work:
        assert await reseal_all(work, b"quite another") == [contact.id, endpoint.id], "neither opens them: they stay"
        for _again in range(2):
            assert await reseal_all(work, former.services.secret) == []
    async with changed.work() as work:
        contact = await work.session.get_one(NoticeContact, contact.id)
        endpoint, secret = await get_endpoint(work, endpoint.id), changed.services.secret
        assert find_url(contact, secret, None) == bot
        assert list_keys(endpoint, secret, work.now) == [after, before]
        assert list_keys(endpoint, former.services.secret, work.now) == []
