"""The file that tells a client on this machine where a broker is, and with which key: `client.json`, mode 0600.

`broker serve` writes the address into its data directory, where the administrator's key is beside it; `broker demo`
adds a customer's key; `broker login` writes both into the user's own folder. The standard library only.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from broker.private_file import write_private_file

FILE_NAME = "client.json"
ADMIN_KEY_NAME = "admin.key"


@dataclass(frozen=True)
class ClientFile:
    """An address and a key, each where it is known."""

    url: str | None = None
    api_key: str | None = None


def read_client_file(folder: Path) -> ClientFile | None:
    """Read what a folder tells: its file and, where that has no key, its administrator's; None where it has neither.

    Raises: ValueError, where the file is not what we write; OSError.
    """
    path, admin_key = folder / FILE_NAME, folder / ADMIN_KEY_NAME
    known = _parse(path) if path.exists() else ClientFile()
    if known.api_key is None and admin_key.exists():
        return ClientFile(known.url, admin_key.read_text().strip())
    return known if path.exists() else None


def write_client_file(folder: Path, **changes: str | None) -> Path:
    """Write the address, the key or both; what is not named stays as it is. Raises: OSError."""
    path = folder / FILE_NAME
    try:
        before = asdict(_parse(path))
    except (OSError, ValueError):
        before = {}
    written = {name: value for name, value in {**before, **changes}.items() if value is not None}
    write_private_file(path, json.dumps(written, indent=2))
    return path


@contextmanager
def named_to_clients(folder: Path, url: str, *, beside_another: bool) -> Iterator[None]:
    """Name a broker to the clients of its folder; one that ran beside another gives the place back when it ends."""
    before = read_client_file(folder) if beside_another else None
    write_client_file(folder, url=url)
    try:
        yield
    finally:
        now = read_client_file(folder)
        if before is not None and before.url is not None and now is not None and now.url == url:
            write_client_file(folder, url=before.url)


def user_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Name the folder of the user's own settings."""
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "lora-broker"


def local_url(host: str, port: int) -> str:
    """Name the address at which this machine reaches a server that listens there."""
    name = "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 (asked about, not listened on)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _parse(path: Path) -> ClientFile:
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError(f"{path} is not a client file; remove it, or write it anew with `broker login`")
    return ClientFile(content.get("url"), content.get("api_key"))
