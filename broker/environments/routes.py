"""Environments over the API: where what a stage has is served, and how far each push is."""

from typing import Annotated

from fastapi import Query

from broker.adapters.model import Stage
from broker.environments import service
from broker.environments.model import PushState
from broker.environments.schemas import (
    EnvironmentChangesIn,
    EnvironmentIn,
    EnvironmentOut,
    NewEnvironmentOut,
    PushedAgainOut,
    PushOut,
)
from broker.environments.tables import Environment, EnvironmentPush
from broker.http.edge import JobControl, feature_router
from broker.http.languages import Saying
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, OfCustomer, Page
from broker.identity.service import resolve_customer

router = feature_router("/environments", "environments")

OfStage = Annotated[Stage | None, Query(description="Only of this stage.", examples=["test"])]


@router.post("", status_code=201)
async def create_environment(work: JobControl, body: EnvironmentIn) -> NewEnvironmentOut:
    """Name a server that serves what a stage has; that is pushed to it from now on, and what is there already."""
    if work.actor.customer_id is not None:
        resolve_customer(work, body.customer_id)
    row, secret = await service.create_environment(work, body.read_environment(work.actor))
    return NewEnvironmentOut.of(row, work.actor, secret=secret)


@router.get("")
async def list_environments(
    work: JobControl,
    say: Saying,
    customer_id: OfCustomer = None,
    stage: OfStage = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[EnvironmentOut]:
    """List environments, newest first: one's own, and those of the house."""
    query = service.select_environments(customer_id=customer_id, stage=stage)
    rows, after = await fetch_page(work.session, query, Environment, limit=limit, cursor=cursor)
    return Page(data=[EnvironmentOut.of(row, work.actor).said(say) for row in rows], next_cursor=after)


@router.get("/{environment_id}")
async def get_environment(work: JobControl, say: Saying, environment_id: str) -> EnvironmentOut:
    return EnvironmentOut.of(await service.get_environment(work, environment_id), work.actor).said(say)


@router.patch("/{environment_id}")
async def change_environment(work: JobControl, environment_id: str, body: EnvironmentChangesIn) -> EnvironmentOut:
    """Change where a server is or what authenticates the broker there, or switch it off or on."""
    row = await service.change_environment(work, environment_id, body.read_changes())
    return EnvironmentOut.of(row, work.actor)


@router.delete("/{environment_id}")
async def remove_environment(work: JobControl, environment_id: str) -> EnvironmentOut:
    """Push to a server nothing more, and forget its token; what it serves it keeps."""
    return EnvironmentOut.of(await service.remove_environment(work, environment_id), work.actor)


@router.post("/{environment_id}/push")
async def push_environment(work: JobControl, environment_id: str) -> PushedAgainOut:
    """Push all that a server is to serve once more, such as to one that cannot be asked what it has."""
    return PushedAgainOut(environment_id=environment_id, pushes=await service.push_again(work, environment_id))


@router.get("/{environment_id}/pushes")
async def list_environment_pushes(
    work: JobControl,
    say: Saying,
    environment_id: str,
    state: Annotated[PushState | None, Query(description="Only these.", examples=["failed"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[PushOut]:
    """List what a server is to serve, name by name, and how far each is."""
    await service.get_environment(work, environment_id)
    query = service.select_pushes(environment_id=environment_id, state=state)
    rows, after = await fetch_page(work.session, query, EnvironmentPush, limit=limit, cursor=cursor)
    return Page(data=[PushOut.of(row).said(say) for row in rows], next_cursor=after)
