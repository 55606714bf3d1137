"""What queues, agents and nodes may be in, whether an agent lives and whether its pool takes jobs. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=10)
# How brokers and agents speak to each other through the database and the outbox; raised where that changes.
AGENT_PROTOCOL, OLDEST_AGENT_PROTOCOL = 1, 1
MOST_FAILED_STARTS = 8  # in a row; after them a pool waits for ops: 5 s, 10 s, 20 s … 320 s lie between


class AgentState(StrEnum):
    """LIVE: it renews its lease. DRAINING: it takes no starts, and lets its runs end. GONE: it has said goodbye.
    SILENT: it has not, and its lease is over.
    """

    LIVE = "live"
    DRAINING = "draining"
    SILENT = "silent"
    GONE = "gone"


class QueueState(StrEnum):
    """OPEN: takes jobs and starts them. HOLDING: takes them, starts none. DRAINING: starts what waits, takes none."""

    OPEN = "open"
    HOLDING = "holding"
    DRAINING = "draining"

    @property
    def starts_jobs(self) -> bool:
        return self is not QueueState.HOLDING


CLUSTERS = frozenset({"slurm", "ray"})  # engines whose devices are on other machines than their agent
SIMULATED = "simulated"  # the engine whose devices only pretend to be of their type


class NodeState(StrEnum):
    """OPEN: takes starts. DRAINING: lets its runs end. DOWN: does not answer its cluster, or by the word of ops."""

    OPEN = "open"
    DRAINING = "draining"
    DOWN = "down"


@dataclass(frozen=True)
class NodeCapacity:
    """The GPUs (or CPU slots) of one machine of a pool, busy ones included, as its engine tells it."""

    name: str
    gpus: int
    state: NodeState = NodeState.OPEN


@dataclass(frozen=True)
class Maintenance:
    """A time at which nodes are worked on: nothing starts there that is expected to run into it. `nodes` None: all."""

    begins_at: datetime
    ends_at: datetime
    nodes: tuple[str, ...] | None = None


def apply_word(
    told: Iterable[NodeCapacity], drained: Collection[str], down: Collection[str]
) -> tuple[NodeCapacity, ...]:
    """Apply the word of ops to nodes as their engine tells them: down before draining; what is worse there stays."""
    return tuple(replace(node, state=_judge_node(node, drained, down)) for node in told)


def _judge_node(node: NodeCapacity, drained: Collection[str], down: Collection[str]) -> NodeState:
    if node.name in down:
        return NodeState.DOWN
    return NodeState.DRAINING if node.state is NodeState.OPEN and node.name in drained else node.state


class Discipline(StrEnum):
    """In which order a pool takes jobs."""

    FAIR = "fair"
    FIRST_COME = "first-come"
    SHORTEST_REMAINING = "shortest-remaining-service"
    LEAST_ATTAINED = "least-attained-service"


PRESENT = frozenset({AgentState.LIVE, AgentState.DRAINING})


class Readiness(StrEnum):
    """What a pool does with jobs: takes them, or why not."""

    OPEN = "open"
    CLOSED = "closed"
    UNSERVED = "unserved"
    DRAINING = "draining"
    SILENT = "silent"
    RESTING = "resting"
    NODES_CLOSED = "nodes_closed"
    OUTDATED = "outdated"


UNREADY = {
    None: Readiness.UNSERVED,
    AgentState.GONE: Readiness.UNSERVED,
    AgentState.SILENT: Readiness.SILENT,
    AgentState.DRAINING: Readiness.DRAINING,
}


def judge_agent(told: AgentState, last_seen_at: datetime, *, now: datetime, lease: timedelta) -> AgentState:
    """Judge an agent by what it has said last, and by how long ago that was."""
    if told == AgentState.GONE:
        return told
    return AgentState.SILENT if now - last_seen_at >= lease else told


@dataclass(frozen=True)
class Rest:
    """A pool's failed starts in a row, and until when it starts nothing for them; None: until ops opens it."""

    failed_starts: int
    until: datetime | None


def plan_rest(failed_starts: int, *, now: datetime) -> Rest:
    """Plan the rest of a pool after so many failed starts in a row: twice as long each time, in the end for good."""
    if failed_starts >= MOST_FAILED_STARTS:
        return Rest(failed_starts, None)
    return Rest(failed_starts, now + min(FIRST_REST * 2 ** (failed_starts - 1), LONGEST_REST))


@dataclass(frozen=True)
class PoolFacts:
    """All that decides whether a pool takes jobs. `is_open` is the word of ops, `rest` None: no start has failed.

    `nodes`: those of a cluster; none where the pool is one machine. `protocol`: the one that its agent speaks.
    """

    name: str
    is_open: bool
    agent: AgentState | None
    last_seen_at: datetime | None
    rest: Rest | None
    nodes: tuple[NodeCapacity, ...] = ()
    protocol: int = AGENT_PROTOCOL


def judge_pool(facts: PoolFacts, *, now: datetime) -> tuple[Readiness, str | None]:
    """Judge whether a pool takes jobs; a sentence for those who wait says why not, and names no machine."""
    if not facts.is_open:
        return Readiness.CLOSED, f"Pool {facts.name} is closed."
    if facts.agent != AgentState.LIVE:
        return UNREADY[facts.agent], _explain_absence(facts)
    if not OLDEST_AGENT_PROTOCOL <= facts.protocol <= AGENT_PROTOCOL:
        return Readiness.OUTDATED, _explain_protocol(facts)
    states = {node.state for node in facts.nodes}
    if states and NodeState.OPEN not in states:
        why = "answers" if states == {NodeState.DOWN} else "takes starts"
        return Readiness.NODES_CLOSED, f"Pool {facts.name} starts nothing new: none of its nodes {why}."
    if facts.rest is None or (facts.rest.until is not None and facts.rest.until <= now):
        return Readiness.OPEN, None
    until = "ops opens it" if facts.rest.until is None else _write(facts.rest.until)
    starts = "the last start" if facts.rest.failed_starts == 1 else f"the last {facts.rest.failed_starts} starts"
    return Readiness.RESTING, f"Pool {facts.name} rests until {until}: {starts} on it failed."


def _explain_protocol(facts: PoolFacts) -> str:
    spoken = (
        str(AGENT_PROTOCOL)
        if OLDEST_AGENT_PROTOCOL == AGENT_PROTOCOL
        else f"{OLDEST_AGENT_PROTOCOL} to {AGENT_PROTOCOL}"
    )
    return (
        f"Pool {facts.name} starts nothing new: its agent speaks protocol {facts.protocol}, this broker {spoken};"
        " operations has to restart one of them on the other's release."
    )


def _explain_absence(facts: PoolFacts) -> str:
    if facts.agent == AgentState.DRAINING:
        return f"Pool {facts.name} starts nothing new: its agent is about to leave."
    if facts.agent == AgentState.SILENT and facts.last_seen_at is not None:
        return f"Pool {facts.name} is not served: its agent has been silent since {_write(facts.last_seen_at)}."
    return f"Pool {facts.name} is not served: it has no agent."


def _write(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
