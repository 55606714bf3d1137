"""Who a customer is by law: submitted, decided, and a gate before it buys where ops wants one."""

from dataclasses import replace

from broker.identity.service import get_customer
from broker.identity.verification import find_number, reseal_numbers
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import Api, customer_api, make_customer, sign_prepaid, staff_key
from tests.broker.rows import owner_connection

PAPERS = {"name": "阿克米茶业有限公司", "document_number": "91310000MA1K35X123"}


async def test_it_goes_from_submitted_to_a_verdict_and_back(api: Api, urls: DatabaseUrls) -> None:
    customer = await make_customer(api)
    path = f"/customers/{customer['id']}/verification"
    assert customer["verification"] == "unverified"
    async with customer_api(api, customer["id"]) as own, Api.connect(api.app, await staff_key(api, "finance")) as books:
        await books.post(f"{path}/decide", {"verdict": "verified"}, expect=409)
        submitted = await own.post(path, PAPERS)
        assert (submitted["verification"], submitted["verified_name"]) == ("submitted", PAPERS["name"])
        assert PAPERS["document_number"] not in str(submitted)
        # a past fault: another name took the place of the one that finance was looking at, and was verified
        await own.post(path, {"name": "someone else", "document_number": "00000000"}, expect=409)
        assert (await books.get(path))["document_number"] == PAPERS["document_number"]
        await books.post(f"{path}/decide", {"verdict": "rejected"}, expect=422)
        rejected = await books.post(f"{path}/decide", {"verdict": "rejected", "note": "The licence has expired."})
        assert rejected["verification_note"] == "The licence has expired."
        await own.post(path, PAPERS)
        assert (await books.post(f"{path}/decide", {"verdict": "verified"}))["verified_at"]
        await own.post(path, PAPERS, expect=409)
        await books.post(f"{path}/decide", {"verdict": "unverified", "note": "It was sold."})
    with owner_connection(urls) as connection:
        kept = str(connection.execute("SELECT * FROM customers, audit_entries").fetchall())
    assert PAPERS["document_number"] not in kept
    assert "get_customer_verification" in kept, "who looked at it is on record"


async def test_nobody_unverified_buys_where_ops_wants_that(api: Api) -> None:
    customer = await make_customer(api)
    contract = await sign_prepaid(api, customer["id"])
    order = {"contract_id": contract["id"], "gpu_hours": "10"}
    rule = {"threshold_gpu_hours": 10, "purchase_gpu_hours": 50}
    async with customer_api(api, customer["id"]) as own:
        await own.post("/purchases", order, expect=201)
        api.app.state.services.settings.verification_before_paying = True
        problem = await own.post("/purchases", order, expect=403)
        assert (problem["type"], problem["verification"]) == ("/problems/verification-needed", "unverified")
        await own.post(f"/contracts/{contract['id']}/top-up", rule, expect=403)
        await api.post("/purchases", order, expect=201)  # finance may order for anybody
        await own.post(f"/customers/{customer['id']}/verification", PAPERS)
        await own.post("/purchases", order, expect=403)
        await api.post(f"/customers/{customer['id']}/verification/decide", {"verdict": "verified"})
        await own.post("/purchases", order, expect=201)
        await own.post(f"/contracts/{contract['id']}/top-up", rule)


async def test_a_number_is_sealed_anew_with_a_new_secret(api: Api, system: System) -> None:
    customer = await make_customer(api)
    await api.post(f"/customers/{customer['id']}/verification", PAPERS)
    new = replace(system, services=replace(system.services, secret=b"another secret of 32 characters!"))
    async with new.work() as work:
        assert await reseal_numbers(work, system.services.secret) == []
    async with new.work() as work:
        row = await get_customer(work, customer["id"])
        assert find_number(work, row) == PAPERS["document_number"]
    async with system.work() as work:
        assert find_number(work, await get_customer(work, customer["id"])) is None
