"""Joining the installation: a process that has another secret, storage or address than the others does not start."""

from broker.errors import OperatorError
from broker.persistence.installation import (
    Installation,
    OwnSettings,
    find_differences,
    find_installation,
    found_installation,
)
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


async def found_new_installation(work: Work, own: OwnSettings) -> Installation:
    """Write the installation's row as this process has it; its storage gets an id where it has none.

    Raises: OperatorError, where nothing can be written into the storage.
    """
    try:
        storage_id = own.storage_id or await work.storage.create_id(work.new_id("sto"))
    except OSError as error:
        raise unreachable_storage(own.storage_place, error) from error
    founded = found_installation(own, installation_id=work.new_id("ins"), storage_id=storage_id, now=work.now)
    work.session.add(founded)
    await work.session.flush()
    return founded


async def read_own_settings(work: Work) -> OwnSettings:
    """Read what this process has. Raises: OperatorError, where its storage cannot be read."""
    settings = work.settings
    place = str(settings.storage_root)
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
    return OperatorError(
        f"BROKER_STORAGE_DIR: {place} cannot be used ({error.strerror or error});"
        " name a folder that this process may read and write"
    )
