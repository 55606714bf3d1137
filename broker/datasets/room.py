"""How much a customer may store of what it sends: its data sets, each object once, and what its open uploads will have.

Who adds to it takes turns for its customer, so that several uploads at once do not go beyond the limit together. A body
that is larger than what is left is refused while it comes. What runs make is not counted: they were paid for.
"""

from dataclasses import dataclass

from fastapi import Request
from sqlalchemy import func, or_, select
from sqlalchemy.orm import aliased

from broker import errors
from broker.datasets.tables import Dataset, Upload
from broker.http.body import BodyLimit
from broker.http.idempotency import is_used
from broker.identity.service import get_customer
from broker.system import System
from broker.work import Actor, Work

ANY = 0


@dataclass(frozen=True)
class Room:
    """Units: bytes. `limit_bytes` None: there is none."""

    limit_bytes: int | None
    dataset_bytes: int
    upload_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.dataset_bytes + self.upload_bytes

    @property
    def left_bytes(self) -> int | None:
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.used_bytes)


async def measure_room(work: Work, customer_id: str) -> Room:
    """Measure what a customer stores, and may. Raises: NotFound."""
    own = (await get_customer(work, customer_id)).storage_limit_bytes
    limit = work.settings.customer_storage_bytes if own is None else own
    return Room(
        None if limit == ANY else limit,
        await _count_datasets(work, customer_id),
        await _count_uploads(work, customer_id),
    )


async def _count_datasets(work: Work, customer_id: str) -> int:
    """Count the bytes of objects that data sets need: also of one that was deleted, whose pictures a version shares."""
    version = aliased(Dataset)
    is_base = select(version.id).where(
        version.customer_id == customer_id, version.base_key == Dataset.storage_key, version.deleted_at.is_(None)
    )
    size_bytes = func.max(func.coalesce(Dataset.own_bytes, Dataset.size_bytes)).label("size_bytes")
    needed = or_(Dataset.deleted_at.is_(None), is_base.exists())
    objects = select(size_bytes).where(Dataset.customer_id == customer_id, needed).group_by(Dataset.storage_key)
    return int(await work.session.scalar(select(func.sum(objects.subquery().c.size_bytes))) or 0)


async def _count_uploads(work: Work, customer_id: str) -> int:
    is_open = (Upload.customer_id == customer_id, Upload.expires_at > work.now)
    return int(await work.session.scalar(select(func.sum(Upload.size_bytes)).where(*is_open)) or 0)


async def take_room(work: Work, customer_id: str, size_bytes: int, field: str) -> None:
    """Require that a customer may store so many bytes more; `field` is what of the request is too large.

    Others that add to what it stores wait until this transaction ends. Raises: StorageLimitReached.
    """
    turn = func.pg_advisory_xact_lock(func.hashtextextended(f"storage:{customer_id}", 0))
    await work.session.execute(select(turn))
    room = await measure_room(work, customer_id)
    if room.left_bytes is not None and size_bytes > room.left_bytes:
        raise _refuse(room, size_bytes, field)


def _refuse(room: Room, size_bytes: int | None, field: str) -> errors.StorageLimitReached:
    left, limit = room.left_bytes, room.limit_bytes
    told = f"has {size_bytes} bytes, and {left} of {limit} are left to be stored; delete data sets, or have it raised"
    if size_bytes is None:
        told = (
            f"has more than the {left} bytes that are left to be stored of {limit}; delete data sets, or have it raised"
        )
    return errors.StorageLimitReached(
        f"{field}: {told}",
        errors=[errors.FieldError(field, told)],
        limit_bytes=room.limit_bytes,
        used_bytes=room.used_bytes,
    )


async def find_body_limit(request: Request, actor: Actor) -> BodyLimit | None:
    """Find how large a form with files of a customer may be; None where that is not known before it has come.

    The retry of what was answered already is let through: it stores nothing, and gets that answer.
    """
    if actor.customer_id is None:
        return None
    system = System(request.app.state.database, request.app.state.services)
    async with system.work() as work:
        if await is_used(work, request, actor):
            return None
        room = await measure_room(work, actor.customer_id)
    return None if room.left_bytes is None else BodyLimit(room.left_bytes, _refuse(room, None, "files"))


async def within_room() -> None:
    """Stand for the limit in a route's dependencies: the edge asks `find_body_limit` before it reads the body."""


within_room.find_body_limit = find_body_limit  # type: ignore[attr-defined]
