"""Where a job starts: on which GPU type that it accepts, by price or speed; then where it leaves the fewest free."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.books.nodes import NodeBook, PoolBook
from broker.scheduling.planning.rules.lengths import expect_length
from broker.scheduling.planning.values.jobs import Place, Preference, Shape, TypeOption, WaitingJob


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a job is to start, and when it is expected to end there."""

    pool: PoolBook
    places: tuple[Place, ...]
    p50_end: datetime
    p90_end: datetime


def choose_place(
    job: WaitingJob, pools: Iterable[PoolBook], now: datetime, lendable: Mapping[str, int]
) -> Placement | None:
    """Choose where a job starts now; None: nowhere.

    `lendable`: no more than so many free GPUs of a type may be taken; where none is named, all. Of equally good types
    the node is taken that is left with the fewest free GPUs, so that large gaps stay; ties fall by name.
    """
    offers: dict[tuple[int, int, int], list[tuple[PoolBook, TypeOption]]] = {}
    for pool in pools:
        option = job.shape.find_option(pool.state.sku)
        if option is not None and pool.may_fit(job.gpus):
            offers.setdefault(rank_offer(job.shape, option, now), []).append((pool, option))
    for rank in sorted(offers):
        found = [fit for pool, option in offers[rank] for fit in _find_fits(job, pool, option, now, lendable)]
        if found:
            _free, _pool, _node, placement = min(found, key=lambda fit: fit[:3])
            return placement
    return None


def rank_offer(shape: Shape, option: TypeOption, now: datetime) -> tuple[int, int, int]:
    """Rank a GPU type for a job, the best first: one that misses its date comes last, the fastest of them first."""
    misses = shape.finish_by is not None and now + expect_length(option.p90_seconds) > shape.finish_by
    if misses or shape.preference == Preference.FASTEST:
        return int(misses), option.p50_seconds, option.price_micros
    return 0, option.price_micros, option.p50_seconds


def _find_fits(
    job: WaitingJob, pool: PoolBook, option: TypeOption, now: datetime, lendable: Mapping[str, int]
) -> Iterator[tuple[int, str, str, Placement]]:
    """Find the tightest place in one pool, if there is one."""
    if job.gpus > lendable.get(pool.state.sku, job.gpus):
        return
    p50_end, p90_end = now + expect_length(option.p50_seconds), now + expect_length(option.p90_seconds)
    if job.gpus > pool.largest:
        nodes = _list_whole_nodes(job, pool, p50_end, p90_end, now)
        if nodes:
            places = tuple(Place(node.name, node.node.total) for node in nodes)
            yield 0, pool.state.name, nodes[0].name, Placement(pool, places, p50_end, p90_end)
        return
    nodes_by_room = pool.open_nodes
    for at in range(bisect_left(nodes_by_room, (job.gpus, "")), len(nodes_by_room)):
        free, name = nodes_by_room[at]
        if pool.nodes[name].admits(job.job_id, job.gpus, p50_end, p90_end, now):
            place = Placement(pool, (Place(name, job.gpus),), p50_end, p90_end)
            yield free, pool.state.name, name, place
            return


def _list_whole_nodes(
    job: WaitingJob, pool: PoolBook, p50_end: datetime, p90_end: datetime, now: datetime
) -> list[NodeBook]:
    """List as many wholly free nodes of the largest size as the job needs, by name; none if there are too few."""
    need = pool.count_nodes(job.gpus)
    whole = [pool.nodes[name] for _free, name in pool.open_nodes[bisect_left(pool.open_nodes, (pool.largest, "")) :]]
    fitting = [node for node in whole if node.admits(job.job_id, pool.largest, p50_end, p90_end, now)]
    return fitting[:need] if len(fitting) >= need else []
