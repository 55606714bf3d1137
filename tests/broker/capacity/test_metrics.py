"""Agents and pools in `/metrics`."""

from broker.capacity.agents import retire_agent
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.pools import make_card, register_pool


async def read_metrics(api: Api) -> str:
    return (await api.http.get("/metrics")).text


async def test_metrics_tell_who_was_seen_when_and_which_pools_take_jobs(
    api: Api, system: System, clock: ManualClock
) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", total_gpus=3)
    seen_at = clock.now.timestamp()
    text = await read_metrics(api)
    assert f'broker_agent_last_seen_timestamp_seconds{{agent="agt_test",pool="test"}} {seen_at:.12g}'[:70] in text
    assert 'broker_agent_devices{agent="agt_test",pool="test"} 3.0' in text
    assert 'broker_agent_info{agent="agt_test",pool="test",state="live",version="0.1.0"} 1.0' in text
    assert 'broker_pool_ready{pool="test",state="open"} 1.0' in text
    assert "machine-1" not in text
    clock.advance(hours=2)
    text = await read_metrics(api)
    assert 'broker_agent_info{agent="agt_test",pool="test",state="silent",version="0.1.0"} 1.0' in text
    assert 'broker_pool_ready{pool="test",state="silent"} 0.0' in text


async def test_agent_that_left_long_ago_is_told_no_more(api: Api, system: System, clock: ManualClock) -> None:
    async with system.work() as work:
        await register_pool(work, name="test")
        await retire_agent(work, make_card())
    assert 'state="gone"' in await read_metrics(api)
    clock.advance(hours=2)
    assert "agt_test" not in await read_metrics(api)
