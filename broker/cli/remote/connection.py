"""Which broker a command speaks to, and with which key: options, then the environment, then files of this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.words import say, speaks_chinese, translate
from broker.client.typed import BrokerClient
from broker.client_file import FILE_NAME, ClientFile, read_client_file, user_folder

DEFAULT_URL = "http://127.0.0.1:8000"
# Where `broker serve` and `broker demo` keep everything if nothing else is said.
DATA_DIRS = (Path("var"), Path("var/demo"))
NO_KEY = "give --api-key, set BROKER_API_KEY, or keep a key with `broker login`"

Url = Annotated[str | None, typer.Option("--url", help="The broker's address (BROKER_URL).")]
Key = Annotated[str | None, typer.Option("--api-key", "--key", help="The API key (BROKER_API_KEY).")]
Customer = Annotated[str | None, typer.Option("--customer", help="The customer it is for; needed with a staff key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write the API's own JSON, one document.")]


@dataclass(frozen=True)
class Connection:
    """An address and a key, and where the key is from, in words."""

    url: str
    api_key: str
    source: str

    def open(self) -> BrokerClient:
        return BrokerClient(self.url, self.api_key, language="zh" if speaks_chinese() else None)


def connect(url: str | None, key: str | None) -> BrokerClient:
    """Open a client. Raises: typer.BadParameter, where no key is known."""
    return find_connection(url, key).open()


def find_connection(url: str | None, key: str | None, environment: Mapping[str, str] = os.environ) -> Connection:
    """Find the broker and the key. Raises: typer.BadParameter, where no key is known.

    A key from a file goes to the address in that file alone: it is never sent to another one, unless BROKER_DATA_DIR
    says whose key it is.
    """
    told_url = url or environment.get("BROKER_URL")
    told_key = key or environment.get("BROKER_API_KEY")
    folder, known = _find_file(environment)
    address = (told_url or known.url or DEFAULT_URL).rstrip("/")
    if told_key:
        return Connection(address, told_key, "--api-key" if key else "BROKER_API_KEY")
    if known.api_key is None:
        raise typer.BadParameter(say("there is no API key: {no_key}", no_key=translate(NO_KEY)), param_hint="--api-key")
    if "BROKER_DATA_DIR" not in environment and not _is_same(address, known.url or DEFAULT_URL):
        told = say(
            "the key in {folder} is for {url}, not for {address}: {no_key}",
            folder=folder,
            url=known.url or DEFAULT_URL,
            address=address,
            no_key=translate(NO_KEY),
        )
        raise typer.BadParameter(told, param_hint="--api-key")
    return Connection(address, known.api_key, str(folder))


def _find_file(environment: Mapping[str, str]) -> tuple[Path, ClientFile]:
    """Find what this machine knows: the data directory that is set, else the one started last, else the user's own."""
    named = environment.get("BROKER_DATA_DIR")
    started = sorted(DATA_DIRS, key=_find_start, reverse=True)
    for folder in [Path(named)] if named else [*started, user_folder(environment)]:
        try:
            known = read_client_file(folder)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"{folder / FILE_NAME}: {error}", param_hint="--api-key") from error
        if known is not None and known.api_key is not None:
            return folder, known
    return Path(), ClientFile()


def _find_start(data_dir: Path) -> float:
    """Find when a broker was last started on a data directory; each start writes the file anew."""
    path = data_dir / FILE_NAME
    return path.stat().st_mtime if path.exists() else 0.0


def _is_same(one: str, other: str) -> bool:
    return one.rstrip("/").replace("//localhost", "//127.0.0.1") == other.rstrip("/").replace(
        "//localhost", "//127.0.0.1"
    )
