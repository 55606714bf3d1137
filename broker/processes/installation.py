"""Joining the installation: a process that has another secret, storage or address than the others does not start."""

from broker.capacity.agents import judge, list_recent_agents
from broker.capacity.model import PRESENT
from broker.customer_secrets.service import reseal_customer_secrets
from broker.environments.service import reseal_tokens
from broker.errors import OperatorError
from broker.identity.verification import reseal_numbers
from broker.notices.contacts import reseal_contacts
from broker.persistence.installation import (
    Installation,
    OwnSettings,
    find_differences,
    find_installation,
    found_installation,
)
from broker.webhooks.endpoints import reseal_secrets
from broker.work import Work


async def join_installation(work: Work) -> Installation:
    """Compare this process with the installation, or found it where this is the very first start.

    The caller holds the lock of first starts. Raises: OperatorError: setting and cure of each difference, in one line.
    """
    own = await read_own_settings(work)
    installation = await find_installation(work.session)
    if installation is None:
        return await found_new_installation(work, own)
    differences = find_differences(installation, own)
    if differences:
        raise OperatorError("; ".join(differences))
    if installation.public_url is None and own.public_url is not None:
        installation.public_url, installation.changed_at = own.public_url, work.now
    return installation


async def describe_installation(work: Work) -> tuple[Installation, list[str]]:
    """Describe the installation, and list where this process differs from it. Raises: OperatorError."""
    own = await read_own_settings(work)
    installation = await find_installation(work.session)
    if installation is None:
        raise OperatorError("this database has no installation yet: start `broker serve` on it first")
    return installation, find_differences(installation, own)


async def accept_settings(work: Work) -> Installation:
    """Make this process's settings those of the installation, for processes that start from now on.

    Raises: OperatorError, where an agent is there: its runs bear tokens that the present secret has signed.
    """
    installation, _differences = await describe_installation(work)
    present = [agent for agent in await list_recent_agents(work, since=work.now) if judge(work, agent) in PRESENT]
    if present:
        names = ", ".join(f"{agent.data_dir} on {agent.host} (pool {agent.pool})" for agent in present)
        raise OperatorError(f"agents still run: {names}; end them by SIGTERM first, and every `broker serve`, too")
    own = await read_own_settings(work)
    storage_id = own.storage_id or await _create_storage_id(work, own.storage_place)
    accepted = found_installation(own, installation_id=installation.id, storage_id=storage_id, now=work.now)
    installation.secret_hash, installation.storage_id = accepted.secret_hash, accepted.storage_id
    installation.public_url, installation.changed_at = accepted.public_url, work.now
    return installation


async def reseal_all(work: Work, former: bytes) -> list[str]:
    """Seal all that the former secret has sealed by the present one; returns the ids of what neither can open."""
    left = [*await reseal_contacts(work, former), *await reseal_secrets(work, former)]
    left += await reseal_tokens(work, former)
    left += await reseal_customer_secrets(work, former)
    return [*left, *await reseal_numbers(work, former)]


async def found_new_installation(work: Work, own: OwnSettings) -> Installation:
    """Write the installation's row as this process has it; its storage gets an id where it has none.

    Raises: OperatorError, where nothing can be written into the storage.
    """
    storage_id = own.storage_id or await _create_storage_id(work, own.storage_place)
    founded = found_installation(own, installation_id=work.new_id("ins"), storage_id=storage_id, now=work.now)
    work.session.add(founded)
    await work.session.flush()
    return founded


async def _create_storage_id(work: Work, place: str) -> str:
    try:
        return await work.storage.create_id(work.new_id("sto"))
    except OSError as error:
        raise unreachable_storage(place, error) from error


async def read_own_settings(work: Work) -> OwnSettings:
    """Read what this process has. Raises: OperatorError, where its storage cannot be read."""
    settings = work.settings
    place = settings.storage_place
    try:
        storage_id = await work.storage.find_id()
    except OSError as error:
        raise unreachable_storage(place, error) from error
    return OwnSettings(
        secret=work.services.secret,
        secret_source="set" if settings.secret_key is not None else f"from {settings.secret_path}",
        storage_place=place,
        storage_id=storage_id,
        public_url=None if settings.public_url is None else settings.public_url.rstrip("/"),
    )


def unreachable_storage(place: str, error: OSError) -> OperatorError:
    setting, kind = ("URL", "bucket") if place.startswith("s3://") else ("DIR", "folder")
    return OperatorError(
        f"BROKER_STORAGE_{setting}: {place} cannot be used ({error.strerror or error});"
        f" name a {kind} that this process may read and write"
    )
