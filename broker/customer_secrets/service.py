"""Keeping secrets of customers, and handing one to the run whose job names it."""

from collections.abc import Mapping

from sqlalchemy import Select, delete, func, select

from broker import errors
from broker.addresses import check_url, read_networks
from broker.customer_secrets.model import NewSecret, SecretChanges, SecretKind, TrackerAccess
from broker.customer_secrets.tables import CustomerSecret
from broker.identity.service import get_project, lock_customer, require_project
from broker.persistence.database import add_unique, narrow
from broker.sealing import find_sealed, reseal, seal
from broker.work import Work

MOST_SECRETS = 100
MOST_FORMER_KEYS = 5


async def create_secret(work: Work, new: NewSecret) -> CustomerSecret:
    """Keep a secret, sealed. Raises: NotFound, Forbidden, NameTaken, InvalidRequest."""
    require_project(work.actor, new.project_id)
    await lock_customer(work, new.customer_id)
    if new.project_id is not None and (await get_project(work, new.project_id)).customer_id != new.customer_id:
        raise errors.NotFound("project", new.project_id)
    _check_place(work, new.kind, new.url, new.username)
    query = select(func.count()).select_from(CustomerSecret).where(CustomerSecret.customer_id == new.customer_id)
    if (await work.session.scalar(query) or 0) >= MOST_SECRETS:
        raise errors.invalid_field("name", f"is one too many: there are {MOST_SECRETS}, remove one")
    row = CustomerSecret(
        id=work.new_id("sec"),
        customer_id=new.customer_id,
        project_id=new.project_id,
        name=new.name,
        kind=new.kind.value,
        url=new.url,
        username=new.username,
        sealed_key=seal(work.services.secret, new.key),
        created_at=work.now,
    )
    taken = errors.NameTaken(
        f"There is a secret {new.name!r} already; rotate it, or choose another name.",
        errors=[errors.FieldError("name", "already in use")],
    )
    await add_unique(work.session, row, taken)
    return row


def _check_place(work: Work, kind: SecretKind, url: str | None, username: str | None) -> None:
    """Check that a kind has an address where it needs one, and one that may be connected to. Raises: InvalidRequest."""
    if kind is SecretKind.MLFLOW and url is None:
        raise errors.invalid_field("url", "is needed for mlflow: where your tracking server is, https://…")
    if kind is not SecretKind.MLFLOW and username is not None:
        raise errors.invalid_field("username", "goes with mlflow alone; leave it out")
    if url is not None:
        check_url(url, read_networks(work.settings.webhook_networks))
        if "?" in url:
            raise errors.invalid_field("url", "must have no query: paths of the tracker's own API are put behind it")


def select_secrets(**wanted: str | None) -> Select[CustomerSecret]:
    """Select the secrets that the actor sees: all, or those with these values."""
    return narrow(select(CustomerSecret), **wanted)


async def get_secret(work: Work, secret_id: str) -> CustomerSecret:
    """Get a secret, whose key stays sealed. Raises: NotFound."""
    return await _get(work, select_secrets().where(CustomerSecret.id == secret_id), secret_id)


async def _lock(work: Work, secret_id: str) -> CustomerSecret:
    query = select_secrets().where(CustomerSecret.id == secret_id).with_for_update()
    row = await _get(work, query.execution_options(populate_existing=True), secret_id)
    require_project(work.actor, row.project_id)
    return row


async def _get(work: Work, query: Select[CustomerSecret], secret_id: str) -> CustomerSecret:
    row = await work.session.scalar(query)
    if row is None:
        raise errors.NotFound("secret", secret_id)
    return row


async def change_secret(work: Work, secret_id: str, changes: SecretChanges) -> CustomerSecret:
    """Put another key, address or user name in place of a secret's; runs under way keep what they were given.

    Raises: NotFound, Forbidden, InvalidRequest.
    """
    row = await _lock(work, secret_id)
    url, username = changes.url or row.url, changes.username or row.username
    if changes.url is not None and changes.key is None and changes.url != row.url:
        raise errors.invalid_field("key", "is needed with another url: what opens one server is not sent to another")
    _check_place(work, SecretKind(row.kind), url, username)
    row.url, row.username = url, username
    if changes.key is not None:
        row.sealed_former_keys = [row.sealed_key, *row.sealed_former_keys][:MOST_FORMER_KEYS]
        row.sealed_key, row.rotated_at = seal(work.services.secret, changes.key), work.now
    await work.session.flush()
    return row


async def remove_secret(work: Work, secret_id: str) -> CustomerSecret:
    """Remove a secret, and forget its key: runs that begin from now on tell its tracker nothing.

    Raises: NotFound, Forbidden.
    """
    row = await _lock(work, secret_id)
    await work.session.delete(row)
    await work.session.flush()
    return row


async def forget_secrets(work: Work, customer_id: str) -> list[CustomerSecret]:
    """Forget all secrets of a customer, who leaves; returns what they were."""
    rows = list(await work.session.scalars(select_secrets(customer_id=customer_id).with_for_update()))
    await work.session.execute(delete(CustomerSecret).where(CustomerSecret.customer_id == customer_id))
    return rows


async def require_tracker(work: Work, customer_id: str, project_id: str | None, name: str) -> None:
    """Require that a job of a project may name a secret as its tracker. Raises: InvalidRequest."""
    row = await _find_named(work, customer_id, name)
    if row is None:
        raise errors.invalid_field("tracker.secret", f"there is no secret {name}; `broker secrets list` shows yours")
    if row.project_id not in {None, project_id}:
        raise errors.invalid_field("tracker.secret", f"{name} is of another project than the job")


async def open_tracker(
    work: Work, customer_id: str, project_id: str | None, tracker: Mapping[str, str | None] | None
) -> TrackerAccess | None:
    """Open what a job named as its tracker, for its run alone; None where it named none.

    What was removed since, or was sealed by another secret of the installation, is told without a key. When it was
    given is noted.
    """
    if tracker is None:
        return None
    name = str(tracker["secret"])
    row = await _find_named(work, customer_id, name)
    is_meant = row is not None and row.project_id in {None, project_id}
    key = find_sealed(work.services.secret, row.sealed_key) if row is not None and is_meant else None
    if row is None or key is None:
        return TrackerAccess(name)
    row.last_used_at = work.now
    networks = tuple(str(each) for each in read_networks(work.settings.webhook_networks))
    return TrackerAccess(name, SecretKind(row.kind), key, row.url, row.username, tracker.get("project"), networks)


async def list_given_keys(work: Work, customer_id: str, tracker: Mapping[str, str | None] | None) -> list[str]:
    """List the keys that a run of a job with this tracker may have been given: that of now, and those before it.

    None of a secret that was removed: its keys are forgotten.
    """
    row = None if tracker is None else await _find_named(work, customer_id, str(tracker["secret"]))
    sealed = [] if row is None else [row.sealed_key, *row.sealed_former_keys]
    return [key for each in sealed if (key := find_sealed(work.services.secret, each)) is not None]


async def _find_named(work: Work, customer_id: str, name: str) -> CustomerSecret | None:
    named: CustomerSecret | None = await work.session.scalar(select_secrets(customer_id=customer_id, name=name))
    return named


async def reseal_customer_secrets(work: Work, former: bytes) -> list[str]:
    """Seal the keys anew, by the present secret of the installation; returns those that neither can open."""
    lost = []
    for row in await work.session.scalars(select_secrets().order_by(CustomerSecret.id).with_for_update()):
        sealed = reseal(former, work.services.secret, row.sealed_key)
        row.sealed_key = row.sealed_key if sealed is None else sealed
        again = [reseal(former, work.services.secret, each) for each in row.sealed_former_keys]
        row.sealed_former_keys = [each for each in again if each is not None]
        lost += [row.id] if sealed is None else []
    await work.session.flush()
    return lost
