"""Set-up of customers, projects and API keys."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Query

import broker
from broker.http.edge import AdminWork, AnyKey, CustomerWork, FinanceWork, OpsWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page
from broker.identity import service
from broker.identity.key_limits import set_customer_limits, set_key_limit
from broker.identity.members import list_members, remove_member, set_member
from broker.identity.model import NewKey
from broker.identity.people import invite_person, remove_person, select_people
from broker.identity.rotation import rotate_key
from broker.identity.schemas import (
    ApiKeyOut,
    CustomerIn,
    CustomerKeyIn,
    CustomerLimitsIn,
    CustomerOut,
    EndedSessionsOut,
    MemberIn,
    MemberOut,
    MembersOut,
    NewApiKeyOut,
    PersonIn,
    PersonOut,
    ProjectIn,
    ProjectOut,
    RequestLimitIn,
    RotationIn,
    StaffKeyIn,
    VerdictIn,
    VerificationIn,
    VerificationOut,
    WhoAmIOut,
)
from broker.identity.tables import ApiKey, Customer, Person, Project
from broker.identity.verification import decide_verification, find_number, submit_verification
from broker.work import Role

router = feature_router("", "identity")


@router.get("/whoami")
async def get_identity(work: AnyKey) -> WhoAmIOut:
    """Tell whose API key this is, and what it may do."""
    key = await service.get_api_key(work, work.actor.id)
    customer = None if key.customer_id is None else await service.get_customer(work, key.customer_id)
    return WhoAmIOut(
        role=work.actor.role.value,
        customer=None if customer is None else CustomerOut.model_validate(customer),
        api_key=ApiKeyOut.of(key),
        version=broker.__version__,
    )


@router.post("/customers", status_code=201)
async def create_customer(work: FinanceWork, body: CustomerIn) -> CustomerOut:
    return CustomerOut.model_validate(await service.create_customer(work, body.name))


@router.get("/customers")
async def list_customers(
    work: AnyKey,
    name: Annotated[str | None, Query(description="The one of this name.", examples=["Acme"])] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[CustomerOut]:
    query = service.select_customers(name=name)
    rows, after = await fetch_page(work.session, query, Customer, limit=limit, cursor=cursor, order=order)
    return Page(data=[CustomerOut.model_validate(row) for row in rows], next_cursor=after)


@router.get("/customers/{customer_id}")
async def get_customer(work: AnyKey, customer_id: str) -> CustomerOut:
    return CustomerOut.model_validate(await service.get_customer(work, customer_id))


@router.post("/customers/{customer_id}/api-keys", status_code=201)
async def create_customer_key(work: CustomerWork, customer_id: str, body: CustomerKeyIn) -> NewApiKeyOut:
    """Make a key for a customer: its own, or any for an administrator. It is shown this once."""
    service.resolve_customer(work, customer_id)
    key, new = await service.create_api_key(
        work,
        role=Role.CUSTOMER,
        name=body.name,
        customer_id=customer_id,
        expires_at=body.expires_at,
        max_cost=body.read_max_cost(),
        scopes=body.read_scopes(),
        is_confined=body.confined_to_projects,
    )
    return _show_once(key, new)


@router.post("/api-keys", status_code=201)
async def create_staff_key(work: AdminWork, body: StaffKeyIn) -> NewApiKeyOut:
    key, new = await service.create_api_key(
        work,
        role=Role(body.role),
        name=body.name,
        customer_id=None,
        expires_at=body.expires_at,
        scopes=body.scopes,
    )
    return _show_once(key, new)


def _show_once(key: ApiKey, new: NewKey) -> NewApiKeyOut:
    return NewApiKeyOut.of(key, key=new.clear)


@router.get("/api-keys")
async def list_api_keys(
    work: CustomerWork,
    customer_id: OfCustomer = None,
    role: Annotated[
        Literal["customer", "finance", "ops", "admin", "meter"] | None,
        Query(description="Only these.", examples=["ops"]),
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[ApiKeyOut]:
    query = service.select_api_keys(customer_id=customer_id, role=role)
    rows, after = await fetch_page(work.session, query, ApiKey, limit=limit, cursor=cursor, order=order)
    return Page(data=[ApiKeyOut.of(row) for row in rows], next_cursor=after)


@router.post("/api-keys/{key_id}/rotate", status_code=201)
async def rotate_api_key(work: AnyKey, key_id: str, body: RotationIn) -> NewApiKeyOut:
    """Make a key that takes the place of another, with its role, scopes and limits; it is shown this once.

    For a customer's own keys, for the key of the request itself, and for an administrator any. Both are good until the
    overlap is over.
    """
    overlap = timedelta(hours=body.overlap_hours)
    return _show_once(*await rotate_key(work, key_id, overlap=overlap, expires_at=body.expires_at))


@router.patch("/api-keys/{key_id}")
async def change_key_limit(work: OpsWork, key_id: str, body: RequestLimitIn) -> ApiKeyOut:
    """Set how many requests a key may send in a minute; its processes know it within a minute."""
    return ApiKeyOut.of(await set_key_limit(work, key_id, body.requests_per_minute))


@router.patch("/customers/{customer_id}")
async def change_customer_limit(work: OpsWork, customer_id: str, body: CustomerLimitsIn) -> CustomerOut:
    """Set what a customer may store, or what each of its keys may send in a minute that has no limit of its own.

    What is there above a lowered limit of storage stays; nothing is added to it.
    """
    return CustomerOut.model_validate(await set_customer_limits(work, customer_id, body.changes))


@router.delete("/api-keys/{key_id}")
async def revoke_api_key(work: CustomerWork, key_id: str) -> ApiKeyOut:
    """Revoke a key; a customer revokes its own ones. Its sessions end with it."""
    return ApiKeyOut.of(await service.revoke_api_key(work, key_id))


@router.delete("/api-keys/{key_id}/sessions")
async def end_sessions(work: AnyKey, key_id: str) -> EndedSessionsOut:
    """End all sessions of the console that were begun with a key: who bears it is signed out everywhere.

    For a customer's own keys, for the key of the request itself, and for an administrator any. The key stays good.
    """
    key, ended = await service.end_sessions_of_key(work, key_id)
    return EndedSessionsOut(api_key_id=key.id, customer_id=key.customer_id, ended=ended)


@router.post("/projects", status_code=201)
async def create_project(work: CustomerWork, body: ProjectIn) -> ProjectOut:
    customer_id = service.resolve_customer(work, body.customer_id)
    return ProjectOut.model_validate(await service.create_project(work, customer_id, body.name))


@router.get("/projects")
async def list_projects(
    work: AnyKey,
    customer_id: OfCustomer = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[ProjectOut]:
    query = service.select_projects(customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, Project, limit=limit, cursor=cursor, order=order)
    return Page(data=[ProjectOut.model_validate(row) for row in rows], next_cursor=after)


@router.get("/projects/{project_id}")
async def get_project(work: AnyKey, project_id: str) -> ProjectOut:
    return ProjectOut.model_validate(await service.get_project(work, project_id))


@router.get("/projects/{project_id}/members")
async def list_project_members(work: CustomerWork, project_id: str) -> MembersOut:
    """List the keys that are members of a project. Keys of the whole account are none, and act in all projects."""
    return MembersOut(data=[MemberOut.of(*each) for each in await list_members(work, project_id)])


@router.put("/projects/{project_id}/members/{key_id}")
async def set_project_member(work: CustomerWork, project_id: str, key_id: str, body: MemberIn) -> MemberOut:
    """Make a key that is confined to projects a member of one; it holds from its next request on."""
    return MemberOut.of(*await set_member(work, project_id, key_id, body.role))


@router.delete("/projects/{project_id}/members/{key_id}", status_code=204)
async def remove_project_member(work: CustomerWork, project_id: str, key_id: str) -> None:
    """End a key's membership of a project."""
    await remove_member(work, project_id, key_id)


@router.post("/customers/{customer_id}/verification")
async def submit_customer_verification(work: CustomerWork, customer_id: str, body: VerificationIn) -> CustomerOut:
    """Submit who a customer is by law (实名), for finance to decide; the number is kept sealed."""
    service.resolve_customer(work, customer_id)
    done = await submit_verification(work, customer_id, name=body.name, number=body.document_number)
    return CustomerOut.model_validate(done)


@router.get("/customers/{customer_id}/verification")
async def get_customer_verification(work: FinanceWork, customer_id: str) -> VerificationOut:
    """Get what a customer has submitted of who it is (实名), to decide on it; who looks is in the audit."""
    customer = await service.get_customer(work, customer_id)
    work.note_look(customer.id, customer.id)
    return VerificationOut(
        customer_id=customer.id,
        verification=customer.verification,
        name=customer.verified_name,
        document_number=find_number(work, customer),
    )


@router.post("/customers/{customer_id}/verification/decide")
async def decide_customer_verification(work: FinanceWork, customer_id: str, body: VerdictIn) -> CustomerOut:
    """Decide whether a customer is who it says by law (实名), or take that back."""
    done = await decide_verification(work, customer_id, verdict=body.verdict, note=body.note)
    return CustomerOut.model_validate(done)


@router.post("/people", status_code=201)
async def create_person(work: CustomerWork, body: PersonIn) -> PersonOut:
    """Invite a person of a customer, who signs in to the console by OpenID Connect and acts as a key of its own."""
    customer_id = service.resolve_customer(work, body.customer_id)
    return PersonOut.model_validate(await invite_person(work, customer_id, body.email))


@router.get("/people")
async def list_people(
    work: CustomerWork,
    customer_id: OfCustomer = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[PersonOut]:
    """List who signs in by OpenID Connect: a customer its own people, an administrator all."""
    query = select_people(customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, Person, limit=limit, cursor=cursor, order=order)
    return Page(data=[PersonOut.model_validate(row) for row in rows], next_cursor=after)


@router.delete("/people/{person_id}", status_code=204)
async def delete_person(work: CustomerWork, person_id: str) -> None:
    """Remove a person: its key is revoked, and its sessions end with it."""
    await remove_person(work, person_id)
