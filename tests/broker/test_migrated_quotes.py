"""Migration 0009 gives quotes of before the prices that they were made by."""

import pytest
from alembic import command

from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import CONFIG, Api, make_customer, upload_dataset
from tests.broker.rows import owner_connection

pytestmark = pytest.mark.slow

FORGET = """UPDATE quotes SET prices = (
    SELECT jsonb_agg(price - '{per_gpu_hour,per_token,rate_card_version,contract_id,gpu_cost_p90}'::text[])
    FROM jsonb_array_elements(prices) AS price)"""


async def test_quote_of_before_is_read_as_it_was_made(api: Api, system: System, urls: DatabaseUrls) -> None:
    customer = await make_customer(api)
    dataset = await upload_dataset(api, customer["id"])
    body = {"config": {**CONFIG, "epochs": 100}, "dataset_id": dataset["id"]}
    made = await api.post("/quotes", body, expect=201)
    assert urls.owner is not None
    await system.database.close()
    command.downgrade(alembic_config(urls.owner), "0008")
    with owner_connection(urls) as owner:
        owner.execute(FORGET.encode())
    command.upgrade(alembic_config(urls.owner), "head")
    read = await api.get(f"/quotes/{made['id']}")
    assert read == {**made, "findings": None}, "what was found in its data was not kept then"
