"""Base models: which there are, and which can be quoted."""

from typing import Annotated

from fastapi import Query

from broker import errors
from broker.base_models import service
from broker.base_models.schemas import BaseModelOut
from broker.http.edge import AnyKey, feature_router
from broker.http.paging import cut_page
from broker.http.shapes import Limit, NameCursor, Page

router = feature_router("/base-models", "base models")


@router.get("")
async def list_base_models(
    work: AnyKey,
    can_be_quoted: Annotated[
        bool | None, Query(description="Only those that can be quoted now, or only the others.", examples=[True])
    ] = None,
    limit: Limit = 20,
    cursor: NameCursor = None,
) -> Page[BaseModelOut]:
    """List base models by name: whether each can be quoted now, and if not, why."""
    known = await service.list_models_now(work)
    listed = [model for model in known if can_be_quoted in {None, model.reason is None}]
    page, after = cut_page(listed, lambda model: model.profile.name, limit=limit, cursor=cursor)
    return Page(data=[BaseModelOut.of(model) for model in page], next_cursor=after)


@router.get("/{base_model}")
async def get_base_model(work: AnyKey, base_model: str) -> BaseModelOut:
    """Get a base model by its name or an alias."""
    profile = (await service.read_offer(work)).find(base_model)
    if profile is None:
        raise errors.NotFound("base model", base_model)
    listed = await service.list_models_now(work)
    return BaseModelOut.of(next(model for model in listed if model.profile.name == profile.name))
