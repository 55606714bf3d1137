"""Idempotency-Key: a POST that is sent again with the same key and body gets the first answer again.

The key is claimed in the request's own transaction: a concurrent twin waits for it, a failed request leaves nothing.
"""

import hashlib
from dataclasses import dataclass

from fastapi import Request, Response
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from starlette.datastructures import UploadFile

from broker import errors
from broker.identity.tables import IdempotencyKey
from broker.work import Work

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 255
REPLAYED = {"Idempotency-Replayed": "true"}


@dataclass(frozen=True)
class Claim:
    """A key and the fingerprint of the request that uses it."""

    key: str
    fingerprint: str


async def read_claim(request: Request) -> Claim | None:
    """The claim of a POST that carries the header; None for every other request. Raises: InvalidRequest."""
    key = request.headers.get(HEADER)
    if request.method != "POST" or key is None:
        return None
    if not key or len(key) > MAX_KEY_LENGTH:
        raise errors.invalid_field(HEADER, f"must have 1 to {MAX_KEY_LENGTH} characters")
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    if _is_form(request):
        await _hash_form(request, digest)
    else:
        digest.update(await request.body())
    return Claim(key, digest.hexdigest())


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/form-data")


async def _hash_form(request: Request, digest: "hashlib._Hash") -> None:
    """Fields and files, not the raw body: a client that retries makes a new multipart boundary."""
    for name, value in (await request.form()).multi_items():
        digest.update(f"{name}=".encode())
        if isinstance(value, UploadFile):
            digest.update(f"{value.filename}\n".encode())
            while chunk := await value.read(1 << 20):
                digest.update(chunk)
            await value.seek(0)
        else:
            digest.update(value.encode())


async def find_earlier_answer(work: Work, claim: Claim) -> Response | None:
    """Claim the key, or return the answer that an earlier request with it got.

    Raises: IdempotencyConflict, where the earlier request was another one.
    """
    row = {
        "principal": _principal(work),
        "key": claim.key,
        "customer_id": work.actor.customer_id,
        "fingerprint": claim.fingerprint,
        "status": 0,
        "body": "",
        "created_at": work.now,
    }
    claimed = await work.session.execute(
        insert(IdempotencyKey).values(row).on_conflict_do_nothing().returning(IdempotencyKey.key)
    )
    if claimed.first() is not None:
        return None
    earlier = await work.session.get_one(IdempotencyKey, (row["principal"], claim.key))
    if earlier.fingerprint != claim.fingerprint:
        raise errors.IdempotencyConflict(
            f"{HEADER} {claim.key!r} was used for another request; send a new key with a new request",
            errors=[errors.FieldError(HEADER, "already used for another request")],
        )
    return Response(earlier.body, earlier.status, REPLAYED, media_type="application/json")


async def keep_answer(work: Work, claim: Claim, response: Response) -> None:
    """Keep the answer of the request that claimed the key; one that has no JSON body frees the key again."""
    key = (_principal(work), claim.key)
    if response.media_type != "application/json" and response.headers.get("content-type") != "application/json":
        await work.session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.principal == key[0], IdempotencyKey.key == key[1])
        )
        return
    row = (
        await work.session.scalars(
            select(IdempotencyKey).where(IdempotencyKey.principal == key[0], IdempotencyKey.key == key[1])
        )
    ).one()
    row.status, row.body = response.status_code, bytes(response.body).decode()


def _principal(work: Work) -> str:
    return work.actor.customer_id or work.actor.id
