"""Customers, projects, API keys."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, delete, func, or_, select

from broker import errors
from broker.http.scopes import require_all_of
from broker.identity.model import NewKey, hash_key, make_key
from broker.identity.tables import ApiKey, Customer, Project, Session
from broker.persistence.database import Base, add_unique, narrow
from broker.persistence.driver import Command, Statement
from broker.persistence.membership import is_one_of
from broker.persistence.tenancy import is_seen
from broker.work import OF_NO_CUSTOMER, Actor, Role, Work
from pricing.money import Money

# An administrator's key that expires sooner does not count as a way in: it may be gone before anybody makes another.
LASTING = timedelta(days=30)
FIND_PROJECTS = Statement(
    select(Project.id, Project.customer_id)
    .where(Project.id == any_(bindparam("ids", type_=ARRAY(Text))))
    .where(is_seen(Project.customer_id))
)


Row = TypeVar("Row", bound=Base)


async def create_customer(work: Work, name: str) -> Customer:
    """Create a customer. Raises: NameTaken."""
    customer = Customer(id=work.new_id("cus"), name=name, created_at=work.now)
    return await _add_named(work, customer, name)


async def create_project(work: Work, customer_id: str, name: str) -> Project:
    """Create a customer's project. Raises: NotFound, NameTaken."""
    await get_customer(work, customer_id)
    project = Project(id=work.new_id("prj"), customer_id=customer_id, name=name, created_at=work.now)
    return await _add_named(work, project, name)


async def _add_named(work: Work, row: Row, name: str) -> Row:
    taken = errors.NameTaken(
        f"The name {name!r} is in use; choose another.", errors=[errors.FieldError("name", "already in use")]
    )
    await add_unique(work.session, row, taken)
    return row


def select_customers(**wanted: str | None) -> Select[Customer]:
    """Select the customers that the actor sees, all or those with these values in their columns."""
    return narrow(select(Customer), **wanted)


def select_api_keys(**wanted: str | None) -> Select[ApiKey]:
    """Select the API keys that the actor sees, all or those with these values in their columns."""
    return narrow(select(ApiKey), **wanted)


def select_projects(**wanted: str | None) -> Select[Project]:
    """Select the projects that the actor sees, all or those with these values in their columns."""
    return narrow(select(Project), **wanted)


async def get_customer(work: Work, customer_id: str) -> Customer:
    """Get a customer. Raises: NotFound; another tenant's customer is not found either."""
    customer = await work.session.get(Customer, customer_id)
    if customer is None:
        raise errors.NotFound("customer", customer_id)
    return customer


async def list_names(work: Work, customer_ids: Collection[str]) -> dict[str, str]:
    """List the names of customers, by their ids."""
    query = select(Customer.id, Customer.name).where(is_one_of(Customer.id, customer_ids))
    return dict((await work.session.execute(query)).all())


async def list_key_names(work: Work, key_ids: Collection[str]) -> dict[str, str]:
    """List the names of API keys, by their ids."""
    query = select(ApiKey.id, ApiKey.name).where(is_one_of(ApiKey.id, key_ids))
    return dict((await work.session.execute(query)).all())


async def list_named(work: Work, names: Collection[str]) -> dict[str, str]:
    """List the customers with these very names, by their ids."""
    query = select(Customer.id, Customer.name).where(Customer.name.in_(names))
    return dict((await work.session.execute(query)).all())


async def lock_customer(work: Work, customer_id: str) -> Customer:
    """Lock a customer, for what it has at most once and is not in one row. Raises: NotFound."""
    query = select(Customer).where(Customer.id == customer_id).with_for_update(key_share=True)
    customer = (await work.session.scalars(query)).one_or_none()
    if customer is None:
        raise errors.NotFound("customer", customer_id)
    return customer


async def get_project(work: Work, project_id: str) -> Project:
    """Get a project. Raises: NotFound."""
    project = await work.session.get(Project, project_id)
    if project is None:
        raise errors.NotFound("project", project_id)
    return project


async def load_projects(work: Work, project_ids: Collection[str]) -> Sequence[Project]:
    """Load those of some projects that the actor sees."""
    return (await work.session.scalars(select(Project).where(Project.id.in_(project_ids)))).all()


async def list_project_names(work: Work, project_ids: Collection[str]) -> dict[str, str]:
    """List the names of some projects that the actor sees, by their ids."""
    return {project.id: project.name for project in await load_projects(work, project_ids)}


def find_projects(project_ids: Collection[str], *, seen_by: Collection[str] | None) -> Command:
    """Make the command that finds whose projects these are: its rows are pairs of project and customer."""
    return Command(FIND_PROJECTS, {"ids": sorted(project_ids), "seen_by": seen_by}, finds_nothing=not project_ids)


async def get_api_key(work: Work, key_id: str) -> ApiKey:
    """Get an API key, without its clear form. Raises: NotFound."""
    key = await work.session.get(ApiKey, key_id)
    if key is None:
        raise errors.NotFound("API key", key_id)
    return key


async def create_api_key(
    work: Work,
    *,
    role: Role,
    name: str,
    customer_id: str | None,
    expires_at: datetime | None,
    max_cost: Money | None = None,
    scopes: Collection[str] | None = None,
    is_confined: bool = False,
) -> tuple[ApiKey, NewKey]:
    """Create a key; its clear form is in the answer and nowhere else.

    Raises: NotFound; InvalidRequest; Forbidden, where it would have more scopes than its maker.
    """
    require_all_of(work.actor, scopes)
    if customer_id is not None:
        await get_customer(work, customer_id)
    if expires_at is not None and expires_at <= work.now:
        raise errors.invalid_field("expires_at", "is in the past")
    assert (customer_id is None) == (role in OF_NO_CUSTOMER)
    new = make_key()
    key = ApiKey(
        id=work.new_id("key"),
        customer_id=customer_id,
        role=role.value,
        name=name,
        prefix=new.prefix,
        key_hash=new.key_hash,
        max_cost_micros=None if max_cost is None else max_cost.micros,
        scopes=None if scopes is None else sorted(set(scopes)),
        is_confined=is_confined,
        expires_at=expires_at,
        created_at=work.now,
    )
    work.session.add(key)
    await work.session.flush()
    return key, new


async def revoke_api_key(work: Work, key_id: str) -> ApiKey:
    """Revoke a key; doing it again changes nothing.

    Raises: NotFound; IllegalTransition, for the last administrator's key that lasts.
    """
    key = await get_api_key(work, key_id)
    if work.confined_to not in {None, key.customer_id}:
        raise errors.NotFound("API key", key_id)
    if key.revoked_at is None:
        await keep_one_administrator(work, key)
        key.revoked_at = work.now
    return key


async def end_sessions_of_key(work: Work, key_id: str) -> tuple[ApiKey, int]:
    """End all sessions that were begun with a key; returns the key, and how many there were.

    Raises: NotFound, also for a key that is neither the customer's own nor that of the request, but for administrators.
    """
    key = await get_api_key(work, key_id)
    require_own_key(work, key)
    ended = await work.session.execute(delete(Session).where(Session.api_key_id == key_id).returning(Session.id))
    return key, len(ended.all())


def require_own_key(work: Work, key: ApiKey) -> None:
    """Refuse a key that is neither the customer's own nor that of the request, but for administrators.

    Raises: NotFound.
    """
    is_own = key.id == work.actor.id or (key.customer_id is not None and key.customer_id == work.actor.customer_id)
    if not is_own and work.actor.role != Role.ADMIN:
        raise errors.NotFound("API key", key.id)


async def count_sessions(work: Work, customer_id: str) -> dict[str, int]:
    """Count the sessions of a customer's keys that are not over, by key."""
    query = select(Session.api_key_id, func.count()).where(
        Session.customer_id == customer_id, Session.expires_at > work.now
    )
    return dict((await work.session.execute(query.group_by(Session.api_key_id))).all())


async def keep_one_administrator(work: Work, leaving: ApiKey) -> None:
    """Refuse to leave no administrator's key, or only such as soon expire: then nobody could make a key any more.

    The rows are locked, so that of two who revoke each other's key at once the second one finds its own the last.
    """
    if leaving.role != Role.ADMIN or (leaving.expires_at is not None and leaving.expires_at <= work.now):
        return
    lasts = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > work.now + LASTING)
    query = select(ApiKey.id).where(ApiKey.role == Role.ADMIN.value, ApiKey.revoked_at.is_(None), lasts)
    administrators = set((await work.session.scalars(query.order_by(ApiKey.id).with_for_update())).all())
    if administrators <= {leaving.id}:
        raise errors.IllegalTransition(
            f"No other administrator's key would last for {LASTING.days} days; make one first that does "
            "(POST /v1/api-keys with role admin, without expires_at)."
        )


async def is_administrators_key(work: Work, clear: str) -> bool:
    """Tell whether this is an administrator's key that works now."""
    usable = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > work.now)
    query = select(ApiKey.id).where(
        ApiKey.key_hash == hash_key(clear), ApiKey.role == Role.ADMIN.value, ApiKey.revoked_at.is_(None), usable
    )
    return await work.session.scalar(query) is not None


async def has_admin_key(work: Work) -> bool:
    query = select(func.count()).select_from(ApiKey).where(ApiKey.role == Role.ADMIN.value)
    return bool(await work.session.scalar(query))


def resolve_customer(work: Work, customer_id: str | None) -> str:
    """Resolve the customer that a request is for: its own, or the one that staff names. Raises: NotFound."""
    return resolve_customer_of(work.actor, customer_id)


def resolve_customer_of(actor: Actor, customer_id: str | None) -> str:
    """Resolve the customer that an actor's request is for: its own, or the one that staff names. Raises: NotFound."""
    own = actor.customer_id
    if own is not None and customer_id not in {None, own}:
        raise errors.NotFound("customer", customer_id or "")
    resolved = own or customer_id
    if resolved is None:
        raise errors.invalid_field("customer_id", "is required for a staff key")
    return resolved


def require_whole_account(actor: Actor) -> None:
    """Refuse who is confined to projects what all projects share. Raises: Forbidden."""
    if actor.projects is not None:
        raise errors.Forbidden("All projects of the account share this, and this key acts within its own alone.")


def require_acting(actor: Actor) -> None:
    """Refuse who is confined to projects and acts in none, if it looks at some. Raises: Forbidden."""
    if actor.projects is not None and not actor.acts_in:
        raise errors.Forbidden("This key acts in no project: whoever has a key of the account makes it a member.")


def require_project(actor: Actor, project_id: str | None) -> None:
    """Refuse who is confined to projects what is of none of those in which it acts. Raises: Forbidden."""
    if actor.projects is not None and project_id not in (actor.acts_in or ()):
        own = ", ".join(sorted(actor.acts_in or ())) or "none yet"
        raise errors.Forbidden(f"This key acts within its projects alone; say project_id, one of: {own}.")
