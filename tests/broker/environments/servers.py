"""Servers of adapters in this process, which do what the real ones do as far as the broker can see."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.webhooks.sender import Answer, Sent

AWAY = Answer(None, error="no connection: refused")


async def read_body(body: bytes | AsyncIterator[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])


def answer(body: Any, status: int = 200) -> Answer:
    error = None if status < 300 else f"it answered {status}"
    return Answer(status, body if isinstance(body, str) else json.dumps(body), error)


@dataclass
class ServeLike:
    """Keeps the files that it is sent, as `trainer serve --take-adapters` does; `refuses` says why it takes none."""

    served: dict[str, bytes] = field(default_factory=dict)
    is_away: bool = False
    refuses: str | None = None
    asked: list[str] = field(default_factory=list)

    async def ask(self, sent: Sent, now: datetime, *, most_answer_bytes: int = 0) -> Answer:  # noqa: ARG002 (the port's)
        self.asked.append(f"{sent.method} {sent.url}")
        content = await read_body(sent.body)
        if self.is_away:
            return AWAY
        name = sent.url.partition("/v1/adapters/")[2]
        if sent.method == "GET":
            data = [{"id": key, "sha256": hashlib.sha256(value).hexdigest()} for key, value in self.served.items()]
            return answer({"data": data})
        if sent.method == "DELETE":
            return answer("", 204 if self.served.pop(name, None) is not None else 404)
        if self.refuses is not None:
            return answer({"error": {"message": self.refuses}}, 400)
        self.served[name] = content
        return answer({"id": name})


@dataclass
class VllmLike:
    """Loads by path, as vLLM 0.32.0's server does: refuses a name that it has, does not find what it does not see."""

    sees_nothing: bool = False
    served: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def ask(self, sent: Sent, now: datetime, *, most_answer_bytes: int = 0) -> Answer:  # noqa: ARG002 (the port's)
        content = await read_body(sent.body)
        body = json.loads(content) if content else None
        self.asked.append((sent.url.partition("/v1")[2], body))
        if sent.method == "GET":
            base = {"id": "base", "root": "base", "parent": None}
            return answer({"data": [base, *({"id": k, "root": v, "parent": "base"} for k, v in self.served.items())]})
        name = body["lora_name"]
        if sent.url.endswith("/unload_lora_adapter"):
            if self.served.pop(name, None):
                return answer(f"Success: LoRA adapter '{name}' removed successfully.")
            return answer({"error": {"message": f"The lora adapter '{name}' cannot be found.", "code": 404}}, 404)
        if name in self.served:
            told = f"The lora adapter '{name}' has already been loaded."
            return answer({"error": {"message": told, "type": "InvalidUserInput", "code": 400}}, 400)
        if self.sees_nothing:
            told = f"Loading lora {name} failed: No adapter found for <path>"
            return answer({"error": {"message": told, "type": "NotFoundError", "code": 404}}, 404)
        self.served[name] = body["lora_path"]
        return answer(f"Success: LoRA adapter '{name}' added successfully.")
