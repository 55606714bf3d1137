"""Where an adapter comes from and what went on from it, as a graph: data, base model, job, run, adapters."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from broker.adapters.tables import Adapter
from broker.jobs.admitting.starting_points import KEY
from broker.work import Work

# So many adapters of a family are told of, the nearest first: a graph is read by people.
MOST_ADAPTERS = 100


@dataclass(frozen=True)
class Node:
    """A thing of a lineage, with what tells it from others of its kind."""

    id: str
    kind: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Edge:
    """That one thing of a lineage went into another, and how."""

    source: str
    target: str
    kind: str


@dataclass
class Lineage:
    """A graph; `is_cut`: there are more adapters than are told of."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)
    is_cut: bool = False

    def add(self, node_id: str, kind: str, **facts: Any) -> str:
        self.nodes.setdefault(node_id, Node(node_id, kind, facts))
        return node_id

    def join(self, source: str, target: str, kind: str) -> None:
        self.edges[source, target] = Edge(source, target, kind)


async def trace_lineage(work: Work, adapter: Adapter) -> Lineage:
    """Trace an adapter back to what it was made of, and on to what was made of it; deleted ones stand in it, too."""
    family, is_cut = await _find_family(work, adapter)
    return draw_lineage(family, is_cut=is_cut)


async def _find_family(work: Work, adapter: Adapter) -> tuple[list[Adapter], bool]:
    """Find the adapters that one came from, and all that went on from these, nearest first: in two statements."""
    parent = Adapter.config[KEY].astext
    known = (Adapter.customer_id == adapter.customer_id, parent.is_not(None))
    continued = (await work.session.execute(select(Adapter.id, parent).where(*known).order_by(Adapter.id))).all()
    ids = find_nearest(adapter.id, [(child, came_from) for child, came_from in continued], most=MOST_ADAPTERS + 1)
    query = select(Adapter).where(Adapter.id.in_(ids[:MOST_ADAPTERS]), Adapter.customer_id == adapter.customer_id)
    rows = {row.id: row for row in await work.session.scalars(query)}
    return [rows[each] for each in ids if each in rows], len(ids) > MOST_ADAPTERS


def find_nearest(start: str, pairs: Collection[tuple[str, str]], *, most: int) -> list[str]:
    """Find so many of those that are joined to one by pairs, over others too, itself first, the nearest first. Pure."""
    neighbours: dict[str, list[str]] = {}
    for one, other in pairs:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    found = {start: None}
    frontier = [start]
    while frontier and len(found) < most:
        near = dict.fromkeys(other for each in frontier for other in neighbours.get(each, []) if other not in found)
        found |= near
        frontier = list(near)
    return list(found)[:most]


def draw_lineage(family: Collection[Adapter], *, is_cut: bool) -> Lineage:
    """Draw the graph of some adapters. Pure."""
    lineage = Lineage(is_cut=is_cut)
    for row in family:
        told = {
            "name": row.name,
            "version": row.version,
            "sha256": row.sha256,
            "is_deleted": row.deleted_at is not None,
        }
        lineage.add(row.id, "adapter", **told)
    for row in family:
        job = lineage.add(row.job_id, "job", config=row.config)
        run = lineage.add(row.run_id, "run")
        base = lineage.add(row.base_model, "base_model")
        lineage.join(base, job, "trained")
        if row.dataset_id is not None:
            lineage.add(row.dataset_id, "dataset", sha256=row.dataset_sha256)
            lineage.join(row.dataset_id, job, "learnt_from")
        parent = row.config.get(KEY)
        if parent:
            lineage.add(parent, "adapter", name=None, version=None, sha256=None, is_deleted=True)
            lineage.join(parent, job, "continued")
        lineage.join(job, run, "ran")
        lineage.join(run, row.id, "made")
    return lineage
