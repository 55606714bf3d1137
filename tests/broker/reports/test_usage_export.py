"""Usage events as a file: all of a window, each once, a customer's own, and no formula in any cell."""

import csv
import json

import pytest

from broker.metering.reading import export
from tests.broker.factories import Api, customer_api, make_ready_customer
from tests.broker.metering.sources import open_meter

WINDOW = {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"}


async def test_events_are_exported_once_each_in_the_order_of_their_ends(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PIECE", 2)
    async with open_meter(api) as meter:
        await meter.send(
            *(meter.event(name, time=f"2026-11-0{day}T00:00:00Z") for name, day in zip("ecadb", "51324", strict=True))
        )
        answer = await api.call("GET", "/usage-events/export", expect=200, params=WINDOW)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [(line["event_id"], line["ended_at"]) for line in lines] == [
            (name, f"2026-11-0{day}T00:00:00Z") for name, day in zip("cdabe", "12345", strict=True)
        ]
        assert (lines[0]["contract_id"], lines[0]["tokens"], lines[0]["source"]) == (
            meter.contract_id,
            100,
            meter.source,
        )
        stranger = await make_ready_customer(api)
        async with customer_api(api, stranger.id) as other:
            assert (await other.call("GET", "/usage-events/export", expect=200, params=WINDOW)).text == ""
        narrow = WINDOW | {"from": "2026-11-03T00:00:00Z", "to": "2026-11-04T00:00:00Z"}
        assert len((await api.call("GET", "/usage-events/export", params=narrow)).text.splitlines()) == 1
        await api.get("/usage-events/export", expect=422, **(WINDOW | {"to": WINDOW["from"]}))


async def test_table_has_one_head_and_no_formula(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PIECE", 1)
    async with open_meter(api) as meter:
        await meter.send(meter.event("=1+1", labels={"team": "茶"}), meter.event("b"))
        answer = await api.call("GET", "/usage-events/export", expect=200, params=WINDOW | {"format": "csv"})
    rows = list(csv.DictReader(answer.content.decode("utf-8-sig").splitlines()))
    assert [(row["event_id"], row["labels"]) for row in rows] == [("'=1+1", '{"team": "茶"}'), ("b", "{}")]
