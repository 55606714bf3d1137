"""A submission that is sent again after the edge has forgotten its key: the hold remembers it."""

from datetime import timedelta

from broker.daemon.sweeps import Sweeps
from broker.http.idempotency import ANSWERS_KEPT
from broker.system import System
from tests.broker.factories import CONFIG, Api, customer_api, make_ready_customer, submit_job


async def forget_keys(system: System, clock) -> None:
    clock.now += ANSWERS_KEPT + timedelta(days=1)
    await Sweeps(system).forget_idempotency_keys()


async def test_the_same_order_answers_with_the_same_job_and_holds_nothing_more(api: Api, system: System, clock) -> None:
    customer = await make_ready_customer(api)
    first = await submit_job(api, customer.dataset["id"], customer_id=customer.id, key="order-1")
    await forget_keys(system, clock)
    again = await submit_job(api, customer.dataset["id"], customer_id=customer.id, key="order-1")
    balance = await api.get(f"/contracts/{customer.contract['id']}/balance")
    assert again["id"] == first["id"]
    assert balance["held_gpu_seconds"] == first["estimate"]["gpu_seconds"]["p90"]


async def test_another_order_with_the_same_key_is_refused(api: Api, system: System, clock) -> None:
    customer = await make_ready_customer(api)
    await submit_job(api, customer.dataset["id"], customer_id=customer.id, key="order-1")
    await forget_keys(system, clock)
    changed = {"config": {**CONFIG, "epochs": 2}, "customer_id": customer.id}
    problem = await submit_job(api, customer.dataset["id"], expect=409, key="order-1", **changed)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


async def test_the_keys_of_staff_and_customer_do_not_meet(api: Api) -> None:
    customer = await make_ready_customer(api)
    by_staff = await submit_job(api, customer.dataset["id"], customer_id=customer.id, key="order-1")
    async with customer_api(api, customer.id) as own:
        by_customer = await submit_job(own, customer.dataset["id"], key="order-1")
    assert by_customer["id"] != by_staff["id"]


async def test_a_batch_never_has_the_job_of_a_key_that_is_like_its_own(api: Api, system: System, clock) -> None:
    customer = await make_ready_customer(api)
    single = await submit_job(api, customer.dataset["id"], customer_id=customer.id, key="order/0")
    asked = {"configs": [CONFIG], "dataset_id": customer.dataset["id"], "customer_id": customer.id}
    batch = await api.post("/jobs/batch", asked, expect=201, key="order")
    assert batch["data"][0]["id"] != single["id"]
    await forget_keys(system, clock)
    again = await api.post("/jobs/batch", asked, expect=201, key="order")
    assert (again["id"], again["data"][0]["id"]) == (batch["id"], batch["data"][0]["id"])
