"""Queues, pools and agents, as ops sees and tunes them."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from broker.capacity.model import Discipline, Maintenance, NodeCapacity, NodeState, QueueState
from broker.persistence.database import Base, moment_column


class Queue(Base):
    """A queue of admitted jobs; a higher priority goes first. A dedicated queue belongs to one contract.

    `weight` is in hundredths: a contract's jobs of a queue of 200 are due twice as much as those of one of 100. A job
    that has waited for `max_wait_seconds` goes before all priorities. `max_jobs` and `max_gpus` may run from it at one
    time, on `allowed_pools` only. Of each type that is guaranteed to its contract others may use at most
    `lending_limit` GPUs of what it leaves idle. Null: never, no limit, all pools. `state` is one of `QueueState`.
    """

    __tablename__ = "queues"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'holding', 'draining')", name="state_known"),
        Index("ix_queues_draining", "name", postgresql_where=text("state = 'draining'")),
        Index("ix_queues_bounded", "name", postgresql_where=text("state = 'draining' OR max_gpus IS NOT NULL")),
        CheckConstraint("weight > 0", name="weight_positive"),
        CheckConstraint("max_wait_seconds > 0", name="max_wait_seconds_positive"),
        CheckConstraint("max_jobs > 0", name="max_jobs_positive"),
        CheckConstraint("max_gpus > 0", name="max_gpus_positive"),
        CheckConstraint("lending_limit >= 0", name="lending_limit_not_negative"),
        CheckConstraint("max_gpu_hours > 0", name="max_gpu_hours_positive"),
        CheckConstraint("window_hours > 0", name="window_hours_positive"),
        CheckConstraint("(max_gpu_hours IS NULL) = (window_hours IS NULL)", name="window_whole"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customers.id"))
    contract_id: Mapped[str | None] = mapped_column(ForeignKey("contracts.id"), unique=True)
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(default=QueueState.OPEN.value)
    weight: Mapped[int] = mapped_column(default=100)
    max_wait_seconds: Mapped[int | None]
    max_jobs: Mapped[int | None]
    max_gpus: Mapped[int | None]
    max_gpu_hours: Mapped[int | None]
    window_hours: Mapped[int | None]
    allowed_pools: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    lending_limit: Mapped[int | None]
    created_at: Mapped[datetime] = moment_column()

    @property
    def open(self) -> bool:
        return QueueState(self.state).starts_jobs


class ContractQuota(Base):
    """What ops sets of a contract: how much it is due beside others, and how much it may run at one time.

    `weight` is in hundredths. `max_gpus` and `max_jobs` null: no quota. `reason` is why it was set last.
    """

    __tablename__ = "contract_quotas"
    __table_args__ = (
        ForeignKeyConstraint(["contract_id", "customer_id"], ["contracts.id", "contracts.customer_id"]),
        CheckConstraint("weight > 0", name="weight_positive"),
        CheckConstraint("max_gpus > 0", name="max_gpus_positive"),
        CheckConstraint("max_jobs > 0", name="max_jobs_positive"),
    )

    contract_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    weight: Mapped[int]
    max_gpus: Mapped[int | None]
    max_jobs: Mapped[int | None]
    reason: Mapped[str]
    updated_at: Mapped[datetime] = moment_column()
    created_at: Mapped[datetime] = moment_column()


class Agent(Base):
    """A process that serves a pool, known by its data directory: it stays the same over its restarts.

    `protocol` is how it speaks with brokers. `state` is what it has said of itself; that it is silent is judged by
    `last_seen_at`. `boot_id` tells its machine, since it was started last. `gpus` are all its devices (or CPU
    slots). `machine_load` is that of its machine for each core when it was seen last; None where it has not told.
    `nodes_told` are the machines that its engine knows, as JSON; `nodes` reads them.
    """

    __tablename__ = "agents"
    __table_args__ = (CheckConstraint("gpus >= 0", name="gpus_not_negative"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(index=True)
    host: Mapped[str]
    boot_id: Mapped[str]
    data_dir: Mapped[str]
    engine: Mapped[str]
    sku: Mapped[str]
    gpus: Mapped[int]
    version: Mapped[str]
    protocol: Mapped[int] = mapped_column(server_default=text("1"))
    nodes_told: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    machine_load: Mapped[float | None]
    state: Mapped[str]
    started_at: Mapped[datetime] = moment_column()
    last_seen_at: Mapped[datetime] = moment_column()
    ended_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()

    @property
    def nodes(self) -> tuple[NodeCapacity, ...]:
        return tuple(NodeCapacity(node["name"], node["gpus"], NodeState(node["state"])) for node in self.nodes_told)


def write_nodes(nodes: Iterable[NodeCapacity]) -> list[dict[str, Any]]:
    """Write nodes as the column keeps them."""
    return [asdict(node) for node in nodes]


class Pool(Base):
    """Devices of one SKU behind one engine. `agent_id` is the one agent that serves it, or the last that did.

    `open` is what ops has said. After failed starts in a row it rests: until `rests_until`, or, where that is null and
    `rest_reason` is not, until ops opens it or its agent starts anew. `drained_nodes` are those that ops drains,
    `down_nodes` those that it says are down; the only node of a pool that is one machine has the pool's name.
    `maintenance_told` is when ops works on which, as JSON; `maintenance` reads it. `least_run_seconds`: so long a run
    of it runs before it makes room for another, `stops_per_hour`: so many do in an hour; null: as everywhere.
    """

    __tablename__ = "pools"
    __table_args__ = (
        CheckConstraint("total_gpus >= 0", name="gpus_not_negative"),
        CheckConstraint(
            "discipline IN ('fair', 'first-come', 'shortest-remaining-service', 'least-attained-service')",
            name="discipline_known",
        ),
        CheckConstraint("least_run_seconds >= 0 AND stops_per_hour >= 0", name="stops_not_negative"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str]
    engine: Mapped[str]
    total_gpus: Mapped[int]
    open: Mapped[bool]
    discipline: Mapped[str] = mapped_column(default=Discipline.FAIR.value)
    drained_nodes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    down_nodes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    maintenance_told: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    least_run_seconds: Mapped[int | None]
    stops_per_hour: Mapped[int | None]
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id"))
    failed_starts: Mapped[int] = mapped_column(default=0)
    rests_until: Mapped[datetime | None] = moment_column(nullable=True)
    rest_reason: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()

    @property
    def maintenance(self) -> tuple[Maintenance, ...]:
        return tuple(map(read_maintenance, self.maintenance_told))


def write_maintenance(planned: Iterable[Maintenance]) -> list[dict[str, Any]]:
    """Write times of maintenance as the column keeps them."""
    return [
        {
            "begins_at": each.begins_at.isoformat(),
            "ends_at": each.ends_at.isoformat(),
            "nodes": None if each.nodes is None else list(each.nodes),
        }
        for each in planned
    ]


def read_maintenance(written: dict[str, Any]) -> Maintenance:
    """Read a time of maintenance as the column keeps it."""
    begins_at, ends_at = (datetime.fromisoformat(written[name]) for name in ("begins_at", "ends_at"))
    return Maintenance(begins_at, ends_at, None if written["nodes"] is None else tuple(written["nodes"]))


class Announcement(Base):
    """What ops tells customers from a moment on; `pool` null: it concerns all, `ends_at` null: it has no end yet."""

    __tablename__ = "announcements"

    id: Mapped[str] = mapped_column(primary_key=True)
    message: Mapped[str]
    message_zh: Mapped[str | None]
    pool: Mapped[str | None] = mapped_column(ForeignKey("pools.name"))
    begins_at: Mapped[datetime] = moment_column()
    ends_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()


class StartForecast(Base):
    """When a job that came now would be expected to start, in a queue of a priority and on a GPU type.

    The last scheduling cycle says so. A moment that is over: at once; null: nobody knows.
    """

    __tablename__ = "start_forecasts"

    priority: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sku: Mapped[str] = mapped_column(primary_key=True)
    gpus: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    p50: Mapped[datetime | None] = moment_column(nullable=True)
    p90: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()


class PoolCostRate(Base):
    """What a GPU-hour of a pool costs the house from a day on, in its own time zone; a record.

    Of two from one day the later one holds. Units: micro-yuan for each GPU and hour, used or idle.
    """

    __tablename__ = "pool_cost_rates"
    __table_args__ = (
        CheckConstraint("per_gpu_hour_micros >= 0", name="cost_not_negative"),
        Index("ix_pool_cost_rates_pool", "pool", "begins_on"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(ForeignKey("pools.name"))
    per_gpu_hour_micros: Mapped[int]
    begins_on: Mapped[date]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
