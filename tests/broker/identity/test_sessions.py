"""Sessions in the database: only a hash of the token, and none that is over stays."""

from sqlalchemy import func, select

from broker.identity.sessions import begin_session, end_session, sweep_sessions
from broker.identity.tables import Session
from broker.system import System
from broker.work import Actor, Role, Work
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api


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
