"""Migration 0014 tells the advances of before which invoice they wait for."""

import pytest
from alembic import command

from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import Api, make_customer, sign_contract, submit_job, upload_dataset

pytestmark = pytest.mark.slow


async def test_refusal_names_the_invoice_of_an_advance_from_before(
    api: Api, system: System, urls: DatabaseUrls
) -> None:
    customer = await make_customer(api)
    signed = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500)
    dataset = await upload_dataset(api, customer["id"])
    assert urls.owner is not None
    await system.database.close()
    command.downgrade(alembic_config(urls.owner), "0013")
    command.upgrade(alembic_config(urls.owner), "head")
    problem = await submit_job(api, dataset["id"], customer_id=customer["id"], expect=402)
    assert problem["invoice_id"] == signed["advance_invoice_id"]
