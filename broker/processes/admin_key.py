"""The administrator's key on the machine: its file, whether it works, and another one where it is lost."""

from pathlib import Path

from broker.audit.service import record_decision
from broker.http.decision import Decision
from broker.identity.model import NewKey
from broker.identity.service import create_api_key, is_administrators_key
from broker.private_file import write_private_file
from broker.work import Role, Work


async def write_first_key(work: Work) -> None:
    """Make the first administrator's key and write it into DATA_DIR, within the transaction that makes it."""
    await _create(work, "first administrator", write_to=work.settings.admin_key_path)


async def make_key(work: Work, name: str, *, write_to: Path | None) -> NewKey:
    """Make another administrator's key, on the record: it never expires. A file that is named gets it."""
    key_id, new = await _create(work, name, write_to=write_to)
    await record_decision(work, Decision("make_admin_key", key_id, None, {"name": name}))
    return new


async def _create(work: Work, name: str, *, write_to: Path | None) -> tuple[str, NewKey]:
    key, new = await create_api_key(work, role=Role.ADMIN, name=name, customer_id=None, expires_at=None)
    if write_to is not None:
        write_private_file(write_to, new.clear)
    return key.id, new


async def has_working_key(work: Work, path: Path) -> bool:
    """Tell whether a file is there with an administrator's key in it that works now."""
    clear = _read(path)
    return clear is not None and await is_administrators_key(work, clear)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


async def describe_key(work: Work) -> str:
    """Say where the administrator's key is; where none there works, how another one is made."""
    path = work.settings.admin_key_path
    if await has_working_key(work, path):
        return f"administrator's key in {path}"
    return f"{path} holds no administrator's key that works; `broker admin-key` on this machine makes one"
