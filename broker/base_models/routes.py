"""Base models: which there are, and which can be quoted."""

from typing import Annotated

from fastapi import Query

from broker import errors
from broker.base_models import service
from broker.base_models.schemas import BaseModelOut
from broker.http.edge import AnyKey, feature_router
from broker.http.shapes import Limit, Page

router = feature_router("/base-models", "base models")

NameCursor = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9a-z][0-9a-z._-]{0,99}$",
        description="`next_cursor` of the page before.",
        examples=["smollm2-135m-instruct"],
    ),
]


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
    listed = [
        model
        for model in await service.list_models_now(work)
        if can_be_quoted in {None, model.reason is None} and (cursor is None or model.profile.name > cursor)
    ]
    page = listed[:limit]
    return Page(
        data=[BaseModelOut.of(model) for model in page],
        next_cursor=page[-1].profile.name if len(listed) > limit else None,
    )


@router.get("/{base_model}")
async def get_base_model(work: AnyKey, base_model: str) -> BaseModelOut:
    """Get a base model by its name or an alias."""
    offered = await service.read_offer(work)
    profile = offered.find(base_model)
    if profile is None:
        raise errors.NotFound("base model", base_model)
    listed = await service.list_models_now(work)
    return BaseModelOut.of(next(model for model in listed if model.profile.name == profile.name))
