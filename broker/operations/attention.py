"""What needs ops now: pools that nobody serves, a planner that is still, an outbox that waits, books that differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from broker.capacity.model import Readiness
from broker.contracts.keeping.events import ContractEventKind, read_last_events
from broker.jobs.reading.line import SET_ASIDE
from broker.operations.overview import Overview
from broker.persistence.marks import PLANNED, VERIFIED, Mark, read_marks
from broker.persistence.outbox import Pending, add_up_pending
from broker.work import Work

# A cycle is planned at least every few seconds, a message relayed at once, the books verified each hour.
STILL_AFTER, OUTBOX_AFTER, UNVERIFIED_AFTER = timedelta(seconds=30), timedelta(minutes=1), timedelta(hours=3)
SHORT_KINDS = (ContractEventKind.GUARANTEE_SHORT, ContractEventKind.GUARANTEE_RESTORED)


class NeedKind(StrEnum):
    """In the order in which they are told: the first stop everything."""

    NO_CYCLE = "no_cycle"
    BOOKS_DIFFER = "books_differ"
    AGENT_SILENT = "agent_silent"
    POOL_BROKEN = "pool_broken"
    GUARANTEE_SHORT = "guarantee_short"
    OUTBOX_LATE = "outbox_late"
    JOBS_SET_ASIDE = "jobs_set_aside"
    BOOKS_UNVERIFIED = "books_unverified"


@dataclass(frozen=True)
class Need:
    """Something that needs somebody. `of` names a pool or contract, `since` says from when on, `count` how many."""

    kind: NeedKind
    of: str = ""
    since: datetime | None = None
    count: int = 0


@dataclass(frozen=True)
class Shortfall:
    """GPUs that a contract is guaranteed and machines do not have, since it was told so."""

    contract_id: str
    gpu_type: str
    lacking: int
    since: datetime


@dataclass(frozen=True)
class ServiceState:
    """What is read of the service beside queues and pools."""

    marks: Mapping[str, Mark]
    pending: Pending
    shortfalls: Sequence[Shortfall] = ()


async def read_service(work: Work, seen: Overview) -> ServiceState:
    """Read the service's marks, its outbox, and which guarantees machines fall short of: three statements."""
    contract_ids = {contract_id for contract_id, _sku in seen.facts.guaranteed}
    told = await read_last_events(work, contract_ids, SHORT_KINDS, of="gpu_type") if contract_ids else ()
    short = [
        Shortfall(
            event.contract_id,
            event.data["gpu_type"],
            event.data["guaranteed"] - event.data["available"],
            event.created_at,
        )
        for event in told
        if event.data["available"] < event.data["guaranteed"]
    ]
    return ServiceState(await read_marks(work.session), await add_up_pending(work.session), short)


def list_needs(seen: Overview, service: ServiceState) -> list[Need]:
    """List what needs ops, the worst first. Pure."""
    needs = [
        *_judge_marks(service, seen.facts.now),
        *_judge_pools(seen),
        *(Need(NeedKind.GUARANTEE_SHORT, each.contract_id, each.since, each.lacking) for each in service.shortfalls),
        *_judge_outbox(service.pending, seen.facts.now),
    ]
    aside = [each for each in seen.facts.waiting if each.reason == SET_ASIDE]
    if aside:
        jobs = sum(each.jobs for each in aside)
        needs.append(Need(NeedKind.JOBS_SET_ASIDE, "", min(each.oldest_at for each in aside), jobs))
    order = list(NeedKind)
    return sorted(needs, key=lambda need: (order.index(need.kind), need.of))


def _judge_marks(service: ServiceState, now: datetime) -> list[Need]:
    planned, verified = service.marks.get(PLANNED), service.marks.get(VERIFIED)
    needs = []
    if planned is None or now - planned.noted_at > STILL_AFTER:
        needs.append(Need(NeedKind.NO_CYCLE, "", None if planned is None else planned.noted_at))
    if verified is not None and verified.value:
        needs.append(Need(NeedKind.BOOKS_DIFFER, "", verified.noted_at, verified.value))
    if verified is None or now - verified.noted_at > UNVERIFIED_AFTER:
        needs.append(Need(NeedKind.BOOKS_UNVERIFIED, "", None if verified is None else verified.noted_at))
    return needs


def _judge_pools(seen: Overview) -> list[Need]:
    needs = []
    for judged in seen.pools:
        last = None if judged.agent is None else judged.agent.last_seen_at
        if judged.readiness is Readiness.SILENT:
            needs.append(Need(NeedKind.AGENT_SILENT, judged.pool.name, last))
        elif judged.readiness in {Readiness.UNSERVED, Readiness.RESTING, Readiness.OUTDATED}:
            needs.append(Need(NeedKind.POOL_BROKEN, judged.pool.name, last))
    return needs


def _judge_outbox(pending: Pending, now: datetime) -> list[Need]:
    is_late = pending.oldest_at is not None and now - pending.oldest_at > OUTBOX_AFTER
    return [Need(NeedKind.OUTBOX_LATE, "", pending.oldest_at, pending.count)] if is_late else []
