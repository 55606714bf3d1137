"""Whether agents live and pools take jobs: pure rules."""

from dataclasses import replace
from datetime import timedelta

import pytest

from broker.capacity.model import (
    AGENT_PROTOCOL,
    LONGEST_REST,
    MOST_FAILED_STARTS,
    AgentState,
    NodeCapacity,
    NodeState,
    PoolFacts,
    Readiness,
    Rest,
    judge_agent,
    judge_pool,
    plan_rest,
)
from tests.broker.conftest import START

LEASE = timedelta(seconds=30)
SERVED = PoolFacts("local", is_open=True, agent=AgentState.LIVE, last_seen_at=START, rest=None)

DOWN, DRAINING = (NodeCapacity("n2", 4, state) for state in (NodeState.DOWN, NodeState.DRAINING))


@pytest.mark.parametrize("told", list(AgentState))
def test_agent_is_what_it_says_until_its_lease_is_over(told: AgentState) -> None:
    assert judge_agent(told, START, now=START + LEASE - timedelta(seconds=1), lease=LEASE) == told
    later = judge_agent(told, START, now=START + LEASE, lease=LEASE)
    assert later == (AgentState.GONE if told == AgentState.GONE else AgentState.SILENT)


def test_pool_of_a_live_agent_takes_jobs() -> None:
    assert judge_pool(SERVED, now=START) == (Readiness.OPEN, None)


@pytest.mark.parametrize(
    ("changed", "readiness", "told"),
    [
        ({"is_open": False, "agent": None}, Readiness.CLOSED, "Pool local is closed."),
        ({"agent": None}, Readiness.UNSERVED, "Pool local is not served: it has no agent."),
        ({"agent": AgentState.GONE}, Readiness.UNSERVED, "Pool local is not served: it has no agent."),
        ({"agent": AgentState.DRAINING}, Readiness.DRAINING, "its agent is about to leave."),
        ({"agent": AgentState.SILENT}, Readiness.SILENT, "its agent has been silent since 2026-11-10 04:00:00 UTC."),
        ({"rest": Rest(1, START + LEASE)}, Readiness.RESTING, "until 2026-11-10 04:00:30 UTC: the last start on it"),
        ({"rest": Rest(8, None)}, Readiness.RESTING, "until ops opens it: the last 8 starts on it failed."),
        ({"rest": Rest(3, START)}, Readiness.OPEN, None),
        ({"nodes": (DOWN, DOWN)}, Readiness.NODES_CLOSED, "none of its nodes answers."),
        ({"nodes": (DOWN, DRAINING)}, Readiness.NODES_CLOSED, "none of its nodes takes starts."),
        ({"nodes": (DOWN, NodeCapacity("n1", 4))}, Readiness.OPEN, None),
        ({"protocol": AGENT_PROTOCOL + 1}, Readiness.OUTDATED, f"speaks protocol {AGENT_PROTOCOL + 1}, this broker"),
        ({"protocol": 0, "agent": AgentState.SILENT}, Readiness.SILENT, "silent"),
    ],
)
def test_pool_says_why_it_takes_no_jobs(changed: dict[str, object], readiness: Readiness, told: str | None) -> None:
    judged, closure = judge_pool(replace(SERVED, **changed), now=START)  # type: ignore[arg-type]
    assert judged == readiness
    assert closure is None if told is None else told in str(closure)


def test_pool_rests_twice_as_long_each_time_and_in_the_end_until_ops_opens_it() -> None:
    rests = [plan_rest(failed, now=START).until for failed in range(1, MOST_FAILED_STARTS)]
    seconds = [(until - START).total_seconds() for until in rests if until is not None]
    assert seconds == [5, 10, 20, 40, 80, 160, 320]
    assert max(seconds) <= LONGEST_REST.total_seconds()
    assert plan_rest(MOST_FAILED_STARTS, now=START) == Rest(MOST_FAILED_STARTS, None)
