"""Reads of one moment: they share a message, and nobody is told what is another's."""

import asyncio

import pytest

from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.messages import listing_messages


async def test_customers_that_read_at_one_moment_share_a_message_and_each_is_told_its_own(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await make_ready_customer(api, plan="prepaid", hours=hours) for hours in (500, 600)]
    made = await api.post(f"/customers/{first.id}/api-keys", {"name": "laptop"}, expect=201)
    mine, theirs = (f"/contracts/{each.contract['id']}/balance" for each in (first, second))
    async with (
        customer_api(api, first.id) as one,
        customer_api(api, second.id) as other,
        Api.connect(api.app, made["key"]) as laptop,
    ):
        for own, path in ((one, mine), (other, theirs), (laptop, mine)):
            await own.get(path)
        await api.call("DELETE", f"/api-keys/{made['id']}", expect=200)
        asked = [(one, mine), (other, theirs), (one, theirs), (other, mine), (laptop, mine), (one, mine)]
        with listing_messages(monkeypatch) as messages:
            answers = await asyncio.gather(*(own.call("GET", path) for own, path in asked))
    assert [answer.status_code for answer in answers] == [200, 200, 404, 404, 401, 200]
    told = [answer.json()["contract_id"] for answer in answers if answer.status_code == 200]
    assert told == [first.contract["id"], second.contract["id"], first.contract["id"]]
    assert len([each for each in messages if each.startswith("BEGIN")]) < len(asked)
