"""Promotions over the API: which version is current at a stage, since when, by whom, and where it is live."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from broker.adapters import promoting
from broker.adapters import service as adapters
from broker.adapters.model import SCOPE_OF, Stage
from broker.adapters.promoting import AdapterPromotion, AdapterStage
from broker.environments.promotion_schemas import PromoteIn, PromotionOut, StageOut, UndoIn
from broker.environments.service import list_pushes_of
from broker.environments.wanting import write_wanted
from broker.http.edge import CustomerWork, JobControl, feature_router
from broker.http.paging import fetch_page
from broker.http.scopes import require_each
from broker.http.shapes import Cursor, Limit, OfCustomer, OfProject, Page
from broker.work import Work

router = feature_router("", "adapters")

OfName = Annotated[str | None, Query(description="Only of this name.", examples=["cyberpunk"])]
OfStage = Annotated[Stage | None, Query(description="Only of this stage.", examples=["test"])]


@router.post("/adapters/{adapter_id}/promote")
async def promote_adapter(work: CustomerWork, adapter_id: str, body: PromoteIn) -> PromotionOut:
    """Make a version current of its name at a stage: the environments of the stage are pushed it at once.

    What was current before stays, and an undo goes back to it. Again for what is current already it changes nothing.
    `production` takes a key without scopes, or with `production:write`.
    """
    _require_scope(work, body.stage)
    adapter = await adapters.get_adapter(work, adapter_id)
    return await _tell(work, await promoting.promote(work, adapter, body.stage, reason=body.reason))


@router.post("/adapters/{adapter_id}/withdraw")
async def withdraw_adapter(work: CustomerWork, adapter_id: str, body: PromoteIn) -> PromotionOut:
    """Take an adapter from a stage at which it is current: environments let go of it."""
    _require_scope(work, body.stage)
    adapter = await adapters.get_adapter(work, adapter_id)
    current = await promoting.get_current(work, adapter, body.stage)
    return await _tell(work, await promoting.withdraw(work, current, reason=body.reason))


@router.get("/promotions")
async def list_promotions(
    work: JobControl,
    name: OfName = None,
    stage: OfStage = None,
    adapter_id: Annotated[str | None, Query(description="Only of this adapter.", examples=["ada_01k"])] = None,
    project_id: OfProject = None,
    customer_id: OfCustomer = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[PromotionOut]:
    """List promotions, the newest first: what became current where, why, and by whom."""
    wanted = {"name": name, "stage": stage, "adapter_id": adapter_id}
    query = promoting.select_promotions(**wanted, project_id=project_id, customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, AdapterPromotion, limit=limit, cursor=cursor)
    return Page(data=await _describe(work, rows), next_cursor=after)


@router.get("/promotions/{promotion_id}")
async def get_promotion(work: JobControl, promotion_id: str) -> PromotionOut:
    """Get a promotion, and how far the environments of its stage are."""
    return (await _describe(work, [await promoting.get_promotion(work, promotion_id)]))[0]


@router.post("/promotions/{promotion_id}/undo")
async def undo_promotion(work: CustomerWork, promotion_id: str, body: UndoIn) -> PromotionOut:
    """Go back to what was current before the last promotion of a name; where nothing was, nothing is again."""
    promotion = await promoting.get_promotion(work, promotion_id)
    _require_scope(work, Stage(promotion.stage))
    return await _tell(work, await promoting.undo(work, promotion_id, reason=body.reason))


@router.get("/adapter-stages")
async def list_adapter_stages(
    work: JobControl,
    name: OfName = None,
    stage: OfStage = None,
    project_id: OfProject = None,
    customer_id: OfCustomer = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[StageOut]:
    """List what is current of each name at each stage."""
    query = promoting.select_stages(name=name, stage=stage, project_id=project_id, customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, AdapterStage, limit=limit, cursor=cursor)
    return Page(data=[StageOut.of(row) for row in rows], next_cursor=after)


def _require_scope(work: Work, stage: Stage) -> None:
    require_each(work.actor, [SCOPE_OF[stage]])


async def _tell(work: Work, promotion: AdapterPromotion) -> PromotionOut:
    """Write down what environments are to serve from now on, in the same transaction, and tell of a promotion."""
    await write_wanted(work, customer_id=promotion.customer_id, name=promotion.name)
    return (await _describe(work, [promotion]))[0]


async def _describe(work: Work, rows: Sequence[AdapterPromotion]) -> list[PromotionOut]:
    current = await promoting.list_current(work, [row.id for row in rows])
    pushes = await list_pushes_of(work, [row for row in rows if row.id in current])
    told = [(row, pushes.get((row.customer_id, row.name, row.stage), [])) for row in rows]
    return [PromotionOut.of(row, is_current=row.id in current, pushes=own) for row, own in told]
