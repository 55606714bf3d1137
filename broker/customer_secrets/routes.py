"""Secrets of customers over the API: named, listed, rotated, removed. No answer has a key."""

from typing import Annotated

from fastapi import Query

from broker.customer_secrets import service
from broker.customer_secrets.schemas import LONGEST_NAME, SecretChangesIn, SecretIn, SecretOut
from broker.customer_secrets.tables import CustomerSecret
from broker.http.edge import AnyKey, CustomerWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, OfCustomer, OfProject, Page
from broker.identity.service import resolve_customer

router = feature_router("/secrets", "secrets")


@router.post("", status_code=201)
async def create_secret(work: CustomerWork, body: SecretIn) -> SecretOut:
    """Keep the key of a tracker of yours, for jobs to name (`tracker`). It is sealed, and no answer shows it again."""
    customer_id = resolve_customer(work, body.customer_id)
    return SecretOut.of(await service.create_secret(work, body.read_secret(customer_id)))


@router.get("")
async def list_secrets(
    work: AnyKey,
    customer_id: OfCustomer = None,
    project_id: OfProject = None,
    name: Annotated[
        str | None, Query(max_length=LONGEST_NAME, description="That of this name.", examples=["wandb-team"])
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Page[SecretOut]:
    """List secrets, newest first, without their keys."""
    query = service.select_secrets(customer_id=customer_id, project_id=project_id, name=name)
    rows, after = await fetch_page(work.session, query, CustomerSecret, limit=limit, cursor=cursor)
    return Page(data=[SecretOut.of(row) for row in rows], next_cursor=after)


@router.get("/{secret_id}")
async def get_secret(work: AnyKey, secret_id: str) -> SecretOut:
    return SecretOut.of(await service.get_secret(work, secret_id))


@router.patch("/{secret_id}")
async def rotate_secret(work: CustomerWork, secret_id: str, body: SecretChangesIn) -> SecretOut:
    """Put another key under the same name, or another address with its key.

    Runs that begin from now on are given it; those under way keep what they have.
    """
    return SecretOut.of(await service.change_secret(work, secret_id, body.read_changes()))


@router.delete("/{secret_id}")
async def remove_secret(work: CustomerWork, secret_id: str) -> SecretOut:
    """Forget a secret: runs that begin from now on train without telling its tracker."""
    return SecretOut.of(await service.remove_secret(work, secret_id))
