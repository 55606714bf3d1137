"""API shapes of queues, pools and agents."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.capacity.model import AgentState, Discipline, Maintenance, NodeState, QueueState, Readiness
from broker.capacity.pool_changes import STOP_SETTINGS, PoolChanges
from broker.capacity.readiness import JudgedPool
from broker.capacity.tables import Agent
from broker.http.plain_text import PlainText
from broker.http.shapes import Moment, Reason, RequestBody, created_at_field

QueuePool = Annotated[str, Field(min_length=1, max_length=200)]
NodeName = Annotated[PlainText, Field(min_length=1, max_length=200)]
REMOVABLE = (
    "max_wait_seconds",
    "max_jobs",
    "max_gpus",
    "max_gpu_hours",
    "window_hours",
    "allowed_pools",
    "lending_limit",
)


class QueueOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["queue"] = Field(default="queue", description="Kind of object.", examples=["queue"])
    name: str = Field(description="Name, and id, of the queue.", examples=["priority"])
    priority: int = Field(description="The higher goes first.", examples=[200])
    state: QueueState = Field(
        description="`open`: takes jobs and starts them; `holding`: takes them, starts none; `draining`: takes none,"
        " starts what waits.",
        examples=["open"],
    )
    open: bool = Field(description="Whether it starts jobs: its state is not `holding`.", examples=[True])
    weight: int = Field(
        description="In hundredths: what a contract's jobs of it are due, beside those of other queues.", examples=[100]
    )
    max_wait_seconds: int | None = Field(
        description="A job that has waited for so long goes before all priorities; null: none does.", examples=[86400]
    )
    max_jobs: int | None = Field(description="Most jobs of it that run at one time; null: no limit.", examples=[8])
    max_gpus: int | None = Field(description="Most GPUs that they hold at one time; null: no limit.", examples=[16])
    max_gpu_hours: int | None = Field(
        description="Most GPU-hours of it within any `window_hours`; null: no limit.", examples=[500]
    )
    window_hours: int | None = Field(description="How long that window is, up to now.", examples=[24])
    allowed_pools: list[str] | None = Field(description="The only pools that it uses; null: all.", examples=[["a100"]])
    lending_limit: int | None = Field(
        description="Most GPUs that others may use of each type that is guaranteed to its contract and that it leaves"
        " idle; null: all.",
        examples=[2],
    )
    contract_id: str | None = Field(description="Whose dedicated queue it is; null: shared.", examples=["con_01k"])
    created_at: datetime = created_at_field()


class QueuePatch(RequestBody):
    priority: int | None = Field(default=None, ge=0, le=1_000_000, description="The higher goes first.", examples=[250])
    state: QueueState | None = Field(
        default=None,
        description="`holding`: takes jobs and starts none; `draining`: takes none, and starts what waits.",
        examples=["draining"],
    )
    open: bool | None = Field(
        default=None, description="As `state`, for older clients: true is `open`, false `holding`.", examples=[False]
    )
    weight: int | None = Field(
        default=None, ge=1, le=1_000_000, description="In hundredths: 200 is due twice as much as 100.", examples=[200]
    )
    max_wait_seconds: int | None = Field(
        default=None,
        ge=60,
        le=315_360_000,
        description="A job that has waited for so long goes before all priorities; null: none does.",
        examples=[86400],
    )
    max_jobs: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Most jobs that run at one time; null: no limit.", examples=[8]
    )
    max_gpus: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Most GPUs held at one time; null: no limit.", examples=[16]
    )
    max_gpu_hours: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="Most GPU-hours within any `window_hours`: what runs counts with all that is expected of it; null: "
        "no limit.",
        examples=[500],
    )
    window_hours: int | None = Field(
        default=None, ge=1, le=8784, description="How long that window is, up to now; null with it.", examples=[24]
    )
    allowed_pools: list[QueuePool] | None = Field(
        default=None, min_length=1, max_length=100, description="The only pools to use; null: all.", examples=[["a100"]]
    )

    lending_limit: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Of a dedicated queue: most GPUs that others may use of each type that is guaranteed to its"
        " contract and that it leaves idle; null: all.",
        examples=[2],
    )

    reason: Reason | None = Field(default=None, description="Why, for the record.", examples=["their fair"])

    def list_changes(self) -> dict[str, Any]:
        """List what is to change; null takes away what may be absent, and changes nothing else; a pool counts once."""
        sent = self.model_dump(include=self.model_fields_set - {"reason"})
        if self.allowed_pools is not None:
            sent["allowed_pools"] = list(dict.fromkeys(self.allowed_pools))
        return {name: value for name, value in sent.items() if value is not None or name in REMOVABLE}


class NodeOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Name of the machine, as its cluster knows it.", examples=["gpu-7"])
    gpus: int = Field(description="Its devices (or CPU slots), busy ones included.", examples=[8])
    state: NodeState = Field(
        description="`open`: takes starts; `draining`: lets its runs end; `down`: does not answer.", examples=["open"]
    )


class MaintenanceOut(BaseModel):
    begins_at: datetime = Field(description="Begin (UTC).", examples=["2026-12-01T02:00:00Z"])
    ends_at: datetime = Field(description="End (UTC).", examples=["2026-12-01T04:00:00Z"])
    nodes: list[str] | None = Field(
        description="For staff: the machines that are worked on; null: all.", examples=[["gpu-7"]]
    )


class PoolOut(BaseModel):
    object: Literal["pool"] = Field(default="pool", description="Kind of object.", examples=["pool"])
    name: str = Field(description="Name, and id, of the pool.", examples=["local"])
    sku: str = Field(description="Type of its devices.", examples=["cpu"])
    engine: str = Field(description="What places its runs.", examples=["local"])
    total_gpus: int = Field(
        description="Whole devices (or CPU slots): of nodes that take starts, or, where none does, of all.",
        examples=[1],
    )
    nodes: list[NodeOut] | None = Field(
        description="For staff: the machines of a cluster; empty where the pool is one machine.", examples=[[]]
    )
    open: bool = Field(description="What ops has said: a closed pool starts nothing new.", examples=[True])
    discipline: Discipline = Field(
        description="In which order it takes jobs: `fair` shares, `first-come`, the job with the least left"
        " (`shortest-remaining-service`), the one that has had the least (`least-attained-service`).",
        examples=["fair"],
    )
    maintenance: list[MaintenanceOut] = Field(
        description="When it is worked on: nothing starts that is expected to run into that.", examples=[[]]
    )
    least_run_seconds: int | None = Field(
        description="A run of it that has not run for so long makes room for nobody; null: as the installation says.",
        examples=[None],
    )
    stops_per_hour: int | None = Field(
        description="So many of its runs make room for others in an hour; 0: none ever does; null: as the installation"
        " says.",
        examples=[6],
    )
    state: Readiness = Field(
        description="Whether it takes jobs now (`open`), or why not: `closed` by ops, `unserved` (no agent), `silent`"
        " or `draining` (its agent is), `resting` after failed starts, `nodes_closed`: none of its"
        " cluster's takes starts; `outdated`: its agent speaks another protocol than this broker.",
        examples=["open"],
    )
    state_reason: str | None = Field(description="The same as a sentence; null: it is open.", examples=[None])
    rests_until: datetime | None = Field(
        description="With `resting`: when it starts something again; null: once ops opens it.", examples=[None]
    )
    failed_starts: int = Field(description="Failed starts in a row.", examples=[0])
    agent_id: str | None = Field(description="For staff: the agent that serves it.", examples=["agt_01k"])
    last_failure: str | None = Field(description="For staff: why the last start failed.", examples=[None])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, judged: JudgedPool, *, for_staff: bool) -> "PoolOut":
        pool = judged.pool
        return cls(
            name=pool.name,
            sku=pool.sku,
            engine=pool.engine,
            total_gpus=judged.total_gpus,
            nodes=_list_nodes(judged) if for_staff else None,
            open=pool.open,
            discipline=Discipline(pool.discipline),
            maintenance=[_show_maintenance(each, for_staff=for_staff) for each in pool.maintenance],
            least_run_seconds=pool.least_run_seconds,
            stops_per_hour=pool.stops_per_hour,
            state=judged.readiness,
            state_reason=judged.closure,
            rests_until=pool.rests_until if judged.readiness == Readiness.RESTING else None,
            failed_starts=pool.failed_starts,
            agent_id=pool.agent_id if for_staff else None,
            last_failure=pool.rest_reason if for_staff else None,
            created_at=pool.created_at,
        )


def _list_nodes(judged: JudgedPool) -> list[NodeOut]:
    return [NodeOut.model_validate(node) for node in judged.nodes]


def _show_maintenance(planned: Maintenance, *, for_staff: bool) -> MaintenanceOut:
    nodes = list(planned.nodes) if for_staff and planned.nodes is not None else None
    return MaintenanceOut(begins_at=planned.begins_at, ends_at=planned.ends_at, nodes=nodes)


class MaintenanceIn(RequestBody):
    begins_at: Moment = Field(description="Begin.", examples=["2026-12-01T02:00:00Z"])
    ends_at: Moment = Field(description="End, after the begin and in the future.", examples=["2026-12-01T04:00:00Z"])
    nodes: list[NodeName] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The machines that are worked on; left out: all.",
        examples=[["gpu-7"]],
    )


class PoolPatch(RequestBody):
    open: bool | None = Field(default=None, description="False: start nothing new on it.", examples=[False])
    discipline: Discipline | None = Field(
        default=None, description="In which order it takes jobs.", examples=["first-come"]
    )
    nodes: dict[NodeName, NodeState] | None = Field(
        default=None,
        max_length=1000,
        description="Machines by name (of a pool that is one machine: the pool's): `draining` starts nothing new there;"
        " `down`: its runs are lost, their jobs go first elsewhere; `open` takes either back.",
        examples=[{"gpu-7": "draining"}],
    )
    maintenance: list[MaintenanceIn] | None = Field(
        default=None,
        max_length=100,
        description="All times at which it is worked on, in the place of those told before; `[]`: none.",
        examples=[[{"begins_at": "2026-12-01T02:00:00Z", "ends_at": "2026-12-01T04:00:00Z"}]],
    )
    reason: Reason | None = Field(default=None, description="Why, for the record.", examples=["a fan is broken"])

    least_run_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="A run that has not run for so long makes room for nobody; null: as the installation says.",
        examples=[1800],
    )
    stops_per_hour: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="So many of its runs make room for others in an hour; 0: none ever does; null: as the installation"
        " says.",
        examples=[6],
    )

    def read_changes(self) -> PoolChanges:
        """Read what is to change; null takes back what was said of stops, and changes nothing else."""
        planned = None if self.maintenance is None else [_read_maintenance(each) for each in self.maintenance]
        discipline = None if self.discipline is None else self.discipline.value
        stops = {name: getattr(self, name) for name in STOP_SETTINGS if name in self.model_fields_set}
        return PoolChanges(self.open, discipline, self.nodes or {}, planned, stops)


def _read_maintenance(sent: MaintenanceIn) -> Maintenance:
    return Maintenance(sent.begins_at, sent.ends_at, None if sent.nodes is None else tuple(sent.nodes))


class AgentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["agent"] = Field(default="agent", description="Kind of object.", examples=["agent"])
    id: str = Field(description="Id of the agent: that of its data directory.", examples=["agt_01k"])
    pool: str = Field(description="The pool that it serves, or served.", examples=["local"])
    state: AgentState = Field(
        description="`live`; `draining`: takes no starts and is about to leave; `silent`: not seen for a lease; `gone`:"
        " has said goodbye.",
        examples=["live"],
    )
    host: str = Field(description="Name of its machine.", examples=["gpu-7"])
    boot_id: str = Field(description="Which start of the machine.", examples=["0b1c…"])
    data_dir: str = Field(description="Its data directory there.", examples=["/var/lib/broker"])
    engine: str = Field(description="What places its runs.", examples=["local"])
    sku: str = Field(description="Type of its devices.", examples=["rtx-3090"])
    gpus: int = Field(description="All its devices (or CPU slots), busy ones included.", examples=[2])
    version: str = Field(description="Version of the software.", examples=["0.1.0"])
    protocol: int = Field(description="The protocol that it speaks with brokers.", examples=[1])
    machine_load: float | None = Field(
        description="Processes that wanted to run on its machine in the last minute, for each core.", examples=[0.25]
    )
    started_at: datetime = Field(description="When it registered last (UTC).", examples=["2026-11-24T08:00:00Z"])
    last_seen_at: datetime = Field(description="When it was seen last (UTC).", examples=["2026-11-24T08:00:00Z"])
    ended_at: datetime | None = Field(description="When it said goodbye (UTC).", examples=[None])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, agent: Agent, state: AgentState) -> "AgentOut":
        own = {name: getattr(agent, name) for name in cls.model_fields if name not in {"object", "state"}}
        return cls(**own, state=state)


class ContractQuotaOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["contract_quota"] = Field(
        default="contract_quota", description="Kind of object.", examples=["contract_quota"]
    )
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    weight: int = Field(description="In hundredths: 200 is due twice as much as 100 is.", examples=[100])
    max_gpus: int | None = Field(description="Most GPUs that its jobs hold at one time; null: no quota.", examples=[8])
    max_jobs: int | None = Field(description="Most jobs of it that run at one time; null: no quota.", examples=[4])
    reason: str = Field(description="Why it was set last; empty: nothing was.", examples=["Trial period"])
    updated_at: datetime = Field(description="When it was set last (UTC).", examples=["2026-11-24T10:00:00Z"])


class ContractQuotaPatch(RequestBody):
    weight: int | None = Field(
        default=None, ge=1, le=1_000_000, description="In hundredths: 200 is due twice as much as 100.", examples=[200]
    )
    max_gpus: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Most GPUs held at one time; null: no quota.", examples=[8]
    )
    max_jobs: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Most jobs that run at one time; null: no quota.", examples=[4]
    )
    reason: Reason

    def list_changes(self) -> dict[str, Any]:
        """List what is to change; null takes a quota away, and leaves the weight."""
        sent = self.model_dump(include=self.model_fields_set - {"reason"})
        return {name: value for name, value in sent.items() if value is not None or name != "weight"}
