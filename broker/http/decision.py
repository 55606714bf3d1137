"""What a request of staff decided, read off the request and its answer: every write that was done is one.

So is a read that shows what a customer has made (`Work.note_look`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from broker.http.body import is_form
from broker.work import STAFF, Actor, Look

READS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_SENT_BYTES = 16 * 1024
# What is sent under these names lets whoever has it write to others, or says who a person is: the record says that it
# was sent, not what.
SECRETS = frozenset({"url", "token", "key", "document_number"})


@dataclass(frozen=True)
class Decision:
    """An action, by the name of its route, on an object; whom it concerns; and what was sent with it."""

    action: str
    object_id: str | None
    customer_id: str | None
    sent: dict[str, Any]


async def find_decision(
    request: Request, response: Response, actor: Actor, looks: Sequence[Look] = ()
) -> Decision | None:
    """Find what staff decided, or looked at, by a request that was answered.

    None for other reads, refusals and everybody else.
    """
    if actor.role not in STAFF or response.status_code >= 400:
        return None
    action = request.scope["endpoint"].__name__
    if request.method in READS:
        looked = looks[-1] if looks else None
        sent = dict(request.query_params)
        return None if looked is None else Decision(action, looked.object_id, looked.customer_id, sent)
    answer = _read_object(bytes(getattr(response, "body", b"")))
    own_id = answer.get("id")
    return Decision(
        action=action,
        object_id=next(iter(request.path_params.values()), own_id),
        customer_id=own_id if answer.get("object") == "customer" else answer.get("customer_id"),
        sent=await _read_sent(request),
    )


async def _read_sent(request: Request) -> dict[str, Any]:
    """Read the parameters and the body as they were sent; of a file its name, of a long body its length."""
    sent: dict[str, Any] = dict(request.query_params)
    if request.method == "PUT" or request.state.streams:
        return sent
    if is_form(request):
        form = (await request.form()).multi_items()
        return sent | {name: value.filename if isinstance(value, UploadFile) else value for name, value in form}
    body = await request.body()
    if len(body) > MAX_SENT_BYTES:
        return sent | {"body_bytes": len(body)}
    return sent | {name: "****" if name in SECRETS else value for name, value in _read_object(body).items()}


def _read_object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
