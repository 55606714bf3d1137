"""How each kind of server is asked to serve an adapter, to let go of it, and what it has. In no transaction.

Sources: `trainer serve` is ours (docs/trainer.md). vLLM's calls are those of its OpenAI server with
VLLM_ALLOW_RUNTIME_LORA_UPDATING: a name that is loaded is refused until it is unloaded, whatever its path.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from broker.adapters.exports import Layout, Source
from broker.environments.model import Kind
from broker.webhooks.sender import Answer, Sent
from broker.webhooks.signatures import write_headers

MOST_LISTED_BYTES = 4 << 20
# Refusals that say nothing of the adapter: the server has too much to do, or is only just coming up.
PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
MOST_WORDS = 300


class ServerFailed(Exception):
    """A server did not do what it was asked; the message says why. A refusal is one that it will repeat."""

    def __init__(self, told: str, *, is_refusal: bool = False, status_code: int | None = None) -> None:
        self.is_refusal, self.status_code = is_refusal, status_code
        super().__init__(told)


class Asker(Protocol):
    """What sends a request; `HttpSender` does. It raises nothing that a server can cause."""

    async def ask(self, sent: Sent, now: datetime, *, most_answer_bytes: int = ...) -> Answer: ...


@dataclass(frozen=True)
class Place:
    """A server: where it is, what authenticates us there, and what its kind is told besides."""

    kind: Kind
    url: str
    token: str | None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """An adapter as servers are told of it; `open_file` streams its bytes, `path` is where a server finds them."""

    adapter_id: str
    customer_id: str
    name: str
    version: int
    base_model: str
    sha256: str
    size_bytes: int
    open_file: Callable[[], AsyncIterator[bytes]]
    path: str | None = None
    layout: str = Layout.PEFT.value
    source: Source | None = None

    @property
    def folder(self) -> str:
        """Name its folder among others: of this version and layout alone."""
        return self.adapter_id if self.layout == Layout.PEFT else f"{self.adapter_id}.{self.layout}"

    def describe(self) -> dict[str, Any]:
        """Describe it as bodies of requests may have it."""
        told = {name: getattr(self, name) for name in ("adapter_id", "customer_id", "name", "version", "base_model")}
        more = {"sha256": self.sha256, "size_bytes": self.size_bytes, "path": self.path}
        return {**told, **more, "download": f"/v1/adapters/{self.adapter_id}/download?layout={self.layout}"}


class Server(Protocol):
    """A server of some kind. Each call raises: ServerFailed. What was done before is done again without harm."""

    async def load(self, served_as: str, artifact: Artifact) -> None: ...

    async def unload(self, served_as: str) -> None: ...

    async def list_served(self) -> Mapping[str, str] | None:
        """List what it serves, by name, with a mark that tells its bytes; None where such a server cannot be asked."""
        ...

    def mark(self, artifact: Artifact) -> str:
        """Tell the mark that the server gives an adapter, by which it is found missing or replaced."""
        ...


@dataclass(frozen=True)
class _Asking:
    """What all kinds have in common: a request with our token, whose failure says why."""

    place: Place
    asker: Asker
    now: datetime

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        passes: Sequence[int] = (),
        most: int = MOST_WORDS * 4,
    ) -> str:
        """Send a request and return the text of its answer. Raises: ServerFailed, but for the statuses that pass."""
        token = self.place.token
        own = {} if token is None or self.place.kind is Kind.WEBHOOK else {"authorization": f"Bearer {token}"}
        sent = Sent(method, self.place.url.rstrip("/") + path, {**own, **(headers or {})}, body)
        answer = await self.asker.ask(sent, self.now, most_answer_bytes=most)
        if answer.is_taken or answer.status_code in passes:
            return answer.text or ""
        raise explain_answer(answer)

    async def send_json(self, method: str, path: str, body: Any, *, passes: Sequence[int] = ()) -> str:
        content = json.dumps(body, ensure_ascii=False).encode()
        return await self.send(method, path, content, {"content-type": "application/json"}, passes=passes)

    async def read_list(self, path: str) -> list[dict[str, Any]]:
        """Read the objects of a list in the OpenAI form. Raises: ServerFailed."""
        text = await self.send("GET", path, most=MOST_LISTED_BYTES)
        try:
            data = json.loads(text)["data"]
            return [each for each in data if isinstance(each, dict)]
        except (ValueError, KeyError, TypeError, RecursionError) as fault:
            raise ServerFailed(f"GET {path}: its answer is no list of what it serves") from fault


def explain_answer(answer: Answer) -> ServerFailed:
    """Explain an answer that is no success: its own words where it has any. Pure."""
    if answer.status_code is None:
        return ServerFailed(answer.error or "it did not answer")
    is_refusal = 400 <= answer.status_code < 500 and answer.status_code not in PASSING
    words = " ".join(_find_words(answer.text or "").split())[:MOST_WORDS]
    told = f"it answered {answer.status_code}: {words}" if words else f"it answered {answer.status_code}"
    return ServerFailed(told, is_refusal=is_refusal, status_code=answer.status_code)


def _find_words(text: str) -> str:
    """Find what an error says, in the forms that servers have for it."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for name in ("error", "message", "detail"):
        told = told.get(name, told) if isinstance(told, dict) else told
    return told if isinstance(told, str) else text


@dataclass(frozen=True)
class TrainerServe(_Asking):
    """`trainer serve --take-adapters`: the file itself is sent, and is in use from its next request on."""

    async def load(self, served_as: str, artifact: Artifact) -> None:
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(artifact.size_bytes),
            "x-content-sha256": artifact.sha256,
        }
        await self.send("PUT", f"/v1/adapters/{quote(served_as)}", artifact.open_file(), headers)

    async def unload(self, served_as: str) -> None:
        await self.send("DELETE", f"/v1/adapters/{quote(served_as)}", passes=[HTTPStatus.NOT_FOUND])

    async def list_served(self) -> Mapping[str, str] | None:
        return {str(each.get("id")): str(each.get("sha256")) for each in await self.read_list("/v1/adapters")}

    def mark(self, artifact: Artifact) -> str:
        return artifact.sha256


@dataclass(frozen=True)
class Vllm(_Asking):
    """vLLM: it is told where the adapter is, in a folder that it sees, or at this broker's hub."""

    async def load(self, served_as: str, artifact: Artifact) -> None:
        found = (await self.list_served() or {}).get(served_as)
        if found == self.mark(artifact):
            return
        if found is not None:
            await self.unload(served_as)
        asked = {"lora_name": served_as, "lora_path": self.mark(artifact)}
        try:
            await self.send_json("POST", "/v1/load_lora_adapter", asked)
        except ServerFailed as failure:
            if failure.status_code != HTTPStatus.NOT_FOUND:
                raise
            raise ServerFailed(str(failure)) from failure  # it does not see the files yet, or did not reach the hub

    async def unload(self, served_as: str) -> None:
        await self.send_json("POST", "/v1/unload_lora_adapter", {"lora_name": served_as}, passes=[HTTPStatus.NOT_FOUND])

    async def list_served(self) -> Mapping[str, str] | None:
        models = await self.read_list("/v1/models")
        return {str(each.get("id")): str(each.get("root")) for each in models if each.get("parent") is not None}

    def mark(self, artifact: Artifact) -> str:
        """Tell its path: in the folder, or its id at the hub (docs/hugging-face.md): of this version alone."""
        folder = self.place.options.get("folder_there") or self.place.options.get("folder")
        if folder is None:
            return f"{artifact.customer_id}/{artifact.adapter_id}"
        return str(Path(folder) / artifact.adapter_id)


@dataclass(frozen=True)
class OwnCall(_Asking):
    """Any other server, by the requests that its environment names; in a body `{served_as}` and so on are filled in."""

    async def load(self, served_as: str, artifact: Artifact) -> None:
        call = self.place.options["load"]
        if call.get("sends_file"):
            told = {"content-type": "application/octet-stream", "content-length": str(artifact.size_bytes)}
            headers = {**told, "x-content-sha256": artifact.sha256}
            await self.send(call["method"], fill_path(call["path"], served_as), artifact.open_file(), headers)
            return
        told = {"served_as": served_as, **artifact.describe()}
        await self.send_json(call["method"], fill_path(call["path"], served_as), fill(call.get("body") or {}, told))

    async def unload(self, served_as: str) -> None:
        call = self.place.options.get("unload")
        if call is not None:
            body = fill(call.get("body") or {}, {"served_as": served_as})
            passes = [HTTPStatus.NOT_FOUND]
            await self.send_json(call["method"], fill_path(call["path"], served_as), body, passes=passes)

    async def list_served(self) -> Mapping[str, str] | None:
        return None

    def mark(self, artifact: Artifact) -> str:
        return artifact.sha256


def fill_path(path: str, served_as: str) -> str:
    return path.replace("{served_as}", quote(served_as, safe=""))


def fill(body: Any, told: Mapping[str, Any]) -> Any:
    """Fill in what is told of an adapter wherever a text of a body names it; a text that is nothing else gets the value
    itself, a number as a number. Pure.
    """
    if isinstance(body, dict):
        return {key: fill(value, told) for key, value in body.items()}
    if isinstance(body, list):
        return [fill(value, told) for value in body]
    if not isinstance(body, str):
        return body
    for name, value in told.items():
        if body == f"{{{name}}}":
            return value
        body = body.replace(f"{{{name}}}", str(value))
    return body


@dataclass(frozen=True)
class Webhook(_Asking):
    """A program that is told, signed by Standard Webhooks, and fetches the file by a key of its own."""

    push_id: str = ""
    wanted_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    async def load(self, served_as: str, artifact: Artifact) -> None:
        await self._tell("load", served_as, artifact.describe())

    async def unload(self, served_as: str) -> None:
        await self._tell("unload", served_as, {})

    async def list_served(self) -> Mapping[str, str] | None:
        return None

    def mark(self, artifact: Artifact) -> str:
        return artifact.sha256

    async def _tell(self, action: str, served_as: str, told: Mapping[str, Any]) -> None:
        """Tell it; the id is the same however often it is tried, and another where it is wanted again."""
        facts = {name: value for name, value in told.items() if name != "path"}
        moment = self.wanted_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        data = {"action": action, "served_as": served_as, **facts}
        body = json.dumps({"type": "adapter.push", "timestamp": moment, "data": data}, ensure_ascii=False).encode()
        event_id = f"{self.push_id}_{action}_{int(self.wanted_at.timestamp() * 1000)}"
        signed = write_headers(event_id, self.now, body, [self.place.token or ""])
        await self.send("POST", "", body, {"content-type": "application/json", **signed})


def open_server(place: Place, asker: Asker, now: datetime, *, push_id: str, wanted_at: datetime) -> Server:
    """Open a server of a kind, to be asked at a moment, for a push that has been wanted since another."""
    if place.kind is Kind.WEBHOOK:
        return Webhook(place, asker, now, push_id, wanted_at)
    kinds: Mapping[Kind, type[TrainerServe | Vllm | OwnCall]] = {
        Kind.TRAINER_SERVE: TrainerServe,
        Kind.VLLM: Vllm,
        Kind.HTTP: OwnCall,
    }
    return kinds[place.kind](place, asker, now)
