"""Sessions in the database: only a hash of the token, and none that is over stays."""

from sqlalchemy import func, select

from broker.identity.sessions import begin_session, end_session, sweep_sessions
from broker.identity.tables import Session
from broker.system import System
from broker.work import Actor, Role, Work
from tests.broker.conftest import ManualClock
from tests.broker.console.people import sign_in, sign_in_customer
from tests.broker.factories import Api, make_customer


async def test_only_the_hash_of_a_token_is_kept_and_what_is_over_is_swept(
    api: Api, system: System, clock: ManualClock
) -> None:
    key = await api.post("/api-keys", {"name": "ops", "role": "ops"}, expect=201)
    async with system.work() as work:
        as_ops = Work(work.session, Actor(Role.OPS, key["id"]), work.services)
        first, second = await begin_session(as_ops), await begin_session(as_ops)
        kept = list((await work.session.scalars(select(Session))).all())
        assert {each.api_key_id for each in kept} == {key["id"]}
        assert not {first.token, second.token} & {each.token_hash for each in kept}
        await end_session(work, first.token)
        await end_session(work, first.token)
        assert await sweep_sessions(work) == 0
        clock.now = second.expires_at
        assert await sweep_sessions(work) == 0
        clock.advance(seconds=1)
        assert await sweep_sessions(work) == 1
        assert await work.session.scalar(select(func.count()).select_from(Session)) == 0


async def test_all_sessions_of_a_key_end_and_no_others(api: Api) -> None:
    customer, other = await make_customer(api), await make_customer(api)
    made = await api.post(f"/customers/{customer['id']}/api-keys", {"name": "laptop"}, expect=201)
    theirs = await api.post(f"/customers/{other['id']}/api-keys", {"name": "theirs"}, expect=201)
    staff = await api.post("/api-keys", {"name": "ops", "role": "ops"}, expect=201)
    async with (
        sign_in(api.app, made["key"]) as first,
        sign_in(api.app, made["key"]) as second,
        sign_in_customer(api, customer["id"]) as third,
        Api.connect(api.app, made["key"]) as own,
        Api.connect(api.app, staff["key"]) as ops,
    ):
        await own.call("DELETE", f"/api-keys/{theirs['id']}/sessions", expect=404)
        await ops.call("DELETE", f"/api-keys/{made['id']}/sessions", expect=404)
        ended = (await own.call("DELETE", f"/api-keys/{made['id']}/sessions", expect=200)).json()
        assert (ended["ended"], ended["customer_id"]) == (2, customer["id"])
        for person in (first, second):
            await person.open("/console/keys", expect=303)
        assert "laptop" in (await third.open("/console/keys")).text
        assert (await own.get("/whoami"))["api_key"]["id"] == made["id"]
        assert (await ops.call("DELETE", f"/api-keys/{staff['id']}/sessions", expect=200)).json()["ended"] == 0


async def test_a_person_signs_out_everywhere_from_any_page(api: Api) -> None:
    key = (await api.post("/api-keys", {"name": "ops", "role": "ops"}, expect=201))["key"]
    async with sign_in(api.app, key) as here, sign_in(api.app, key) as there:
        shown = await here.open("/console/ops/pools")
        await here.send("/console/sign-out", {"everywhere": "1"}, of=shown, form="footer form")
        await there.open("/console/ops/pools", expect=303)
