"""Idempotency-Key: a POST that is sent again with the same key and body gets the first answer again.

The key is claimed in the request's own transaction: a concurrent twin waits for it, a failed request leaves nothing.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Request, Response
from sqlalchemy import ARRAY, Text, any_, bindparam, delete, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from broker import errors
from broker.http.body import UNSTORABLE, is_form
from broker.http.form import ReceivedFile
from broker.http.raw_headers import find_header
from broker.persistence.database import Base, moment_column
from broker.persistence.driver import Command, Row, Statement, write_rows
from broker.work import Actor, Role, Work

HEADER = "Idempotency-Key"
HEADER_NAME = HEADER.lower().encode()
MAX_KEY_LENGTH = 255
REPLAYED = {"Idempotency-Replayed": "true"}
SHOWN_ONCE = {"api_key": ("key",), "webhook_endpoint": ("secret",), "environment": ("secret",)}
ANSWERS_KEPT = timedelta(days=30)


class IdempotencyKey(Base):
    """A POST that was answered: its fingerprint and its answer, for the retry."""

    __tablename__ = "idempotency_keys"
    __table_args__ = ({"postgresql_with": {"toast_tuple_target": 8160}},)  # not packed: kept often, read seldom

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    fingerprint: Mapped[str]
    status: Mapped[int]
    body: Mapped[str]
    created_at: Mapped[datetime] = moment_column()


# Of each principal and each key: which belong together is seen when they are read. A join of the two lists would read
# the whole table, since row-level security makes the planner expect a single row.
FIND_ANSWERS = Statement(
    select(
        IdempotencyKey.principal,
        IdempotencyKey.key,
        IdempotencyKey.fingerprint,
        IdempotencyKey.status,
        IdempotencyKey.body,
    ).where(
        IdempotencyKey.principal == any_(bindparam("principals", type_=ARRAY(Text))),
        IdempotencyKey.key == any_(bindparam("keys", type_=ARRAY(Text))),
    )
)
TWIN_ANSWERED = "pk_idempotency_keys"
# Stands between bodies. JSON has no control character unescaped, so that they need not be JSON within JSON, of which
# each quotation mark is escaped here, and read and undone there.
BETWEEN_BODIES = "\x1e"
KEEP_ANSWERS = Statement(
    text(
        "INSERT INTO idempotency_keys (principal, key, customer_id, fingerprint, created_at, status, body)"
        " SELECT told.* FROM ROWS FROM (json_to_recordset(CAST(:rows AS json))"
        " AS (principal text, key text, customer_id text, fingerprint text, created_at timestamptz, status integer),"
        " string_to_table(CAST(:bodies AS text), CAST(:between AS text))) AS told"
    ),
    planned_once=True,
)


@dataclass(frozen=True)
class Claim:
    """A key and the fingerprint of the request that uses it."""

    key: str
    fingerprint: str


async def read_claim(request: Request) -> Claim | None:
    """Read the claim of a POST that carries the header; None for every other request. Raises: InvalidRequest."""
    key = find_header(request.scope, HEADER_NAME) if request.method == "POST" else None
    if key is None:
        return None
    if not key or len(key) > MAX_KEY_LENGTH or UNSTORABLE.search(key):
        raise errors.invalid_field(HEADER, f"must have 1 to {MAX_KEY_LENGTH} characters, none of them a NUL")
    asked = request.scope
    query: bytes = asked["query_string"]
    digest = hashlib.sha256(f"{request.method} {asked['path']}?{query.decode('latin-1')}\n".encode())
    if is_form(request):
        await _hash_form(request, digest)
    else:
        digest.update(await request.body())
    return Claim(key, digest.hexdigest())


async def _hash_form(request: Request, digest: "hashlib._Hash") -> None:
    """Hash fields and files, not the raw body: a client that retries makes a new multipart boundary."""
    for name, value in (await request.form()).multi_items():
        if isinstance(value, ReceivedFile):
            part = ["file", name, value.filename, await value.digest()]
        else:
            part = ["field", name, str(value)]
        digest.update(json.dumps(part).encode() + b"\n")


class AnsweredBefore(Exception):
    """The request was answered before: the edge gives that answer again."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status_code)


async def claim_key(work: Work, claim: Claim) -> None:
    """Claim the key for this request; a twin that is under way is waited for.

    Raises: AnsweredBefore; IdempotencyConflict, where the earlier request was another one.
    """
    row = _describe_claim(work.actor, claim, work.now) | {"status": 0, "body": ""}
    claimed = await work.session.execute(
        insert(IdempotencyKey).values(row).on_conflict_do_nothing().returning(IdempotencyKey.key)
    )
    if claimed.first() is None:
        await find_answer(work, claim)


def _describe_claim(actor: Actor, claim: Claim, now: datetime) -> dict[str, object]:
    return {
        "principal": name_principal(actor),
        "key": claim.key,
        "customer_id": actor.customer_id,
        "fingerprint": claim.fingerprint,
        "created_at": now,
    }


def _describe_answer(response: Response) -> dict[str, object]:
    return {"status": response.status_code, "body": _without_secrets(bytes(response.body).decode())}


async def find_answer(work: Work, claim: Claim) -> None:
    """Find the answer that an earlier request with this key got; where there was none, do nothing.

    Raises: AnsweredBefore; IdempotencyConflict, where the earlier request was another one.
    """
    earlier = await work.session.get(IdempotencyKey, (name_principal(work.actor), claim.key))
    if earlier is not None:
        raise AnsweredBefore(EarlierAnswer(earlier.fingerprint, earlier.status, earlier.body).replay(claim))


async def find_kept_answer(work: Work, key: str) -> str | None:
    """Find what the actor's own POST under a key was answered; None where there was none, or it is under way."""
    earlier = await work.session.get(IdempotencyKey, (name_principal(work.actor), key))
    return None if earlier is None or not earlier.body else earlier.body


@dataclass(frozen=True)
class EarlierAnswer:
    """What an earlier request with the same key got, and the fingerprint by which it is known."""

    fingerprint: str
    status: int
    body: str

    def replay(self, claim: Claim) -> Response:
        """Answer the request again. Raises: IdempotencyConflict, where the earlier request was another one."""
        if self.fingerprint != claim.fingerprint:
            raise errors.IdempotencyConflict(
                f"{HEADER} {claim.key!r} was used for another request; send a new key with a new request",
                errors=[errors.FieldError(HEADER, "already used for another request")],
            )
        return Response(self.body, self.status, REPLAYED, media_type="application/json")


def find_answers(claims: Collection[tuple[Actor, Claim]]) -> Command:
    """Make the command that finds the answers which earlier requests of these actors with these keys got."""
    asked = {
        "principals": {name_principal(actor) for actor, _claim in claims},
        "keys": {each.key for _, each in claims},
    }
    return Command(FIND_ANSWERS, {name: sorted(values) for name, values in asked.items()}, finds_nothing=not claims)


def read_answers(rows: Sequence[Row]) -> dict[tuple[str, str], EarlierAnswer]:
    """Read the answers that were found, by principal and key."""
    return {(owner, key): EarlierAnswer(fingerprint, status, body) for owner, key, fingerprint, status, body in rows}


def keep_answers(answered: Iterable[tuple[Actor, Claim, Response]], now: datetime) -> list[Command]:
    """Make the commands that keep the answers of requests which have not claimed their keys before."""
    rows = [_describe_claim(actor, claim, now) | _describe_answer(response) for actor, claim, response in answered]
    if not rows:
        return []
    rows.sort(key=lambda row: (str(row["principal"]), str(row["key"])))
    bodies = BETWEEN_BODIES.join(str(row.pop("body")) for row in rows)
    return [Command(KEEP_ANSWERS, {"rows": write_rows(rows), "bodies": bodies, "between": BETWEEN_BODIES})]


async def keep_answer(work: Work, claim: Claim, response: Response) -> None:
    """Keep the answer of the request that claimed the key; one that has no JSON body frees the key again."""
    mine = (IdempotencyKey.principal == name_principal(work.actor), IdempotencyKey.key == claim.key)
    if response.headers.get("content-type") != "application/json":
        await work.session.execute(delete(IdempotencyKey).where(*mine))
        return
    await work.session.execute(update(IdempotencyKey).where(*mine).values(_describe_answer(response)))


async def forget_old_answers(work: Work, limit: int = 5_000) -> int:
    """Forget some keys, and with them the answers, that no retry may ask for any more; returns how many."""
    mine = tuple_(IdempotencyKey.principal, IdempotencyKey.key)
    old = select(*mine).where(IdempotencyKey.created_at < work.now - ANSWERS_KEPT).limit(limit)
    forgotten = await work.session.execute(delete(IdempotencyKey).where(mine.in_(old)).returning(IdempotencyKey.key))
    return len(forgotten.all())


async def is_used(work: Work, request: Request, actor: Actor) -> bool:
    """Tell whether a POST carries a key that another request of its principal has used before."""
    key = find_header(request.scope, HEADER_NAME) if request.method == "POST" else None
    if key is None or UNSTORABLE.search(key):
        return False
    return await work.session.get(IdempotencyKey, (name_principal(actor), key)) is not None


def _without_secrets(body: str) -> str:
    """Take out of an answer what is shown only once: the retry gets null in its place."""
    if not any(kind in body for kind in SHOWN_ONCE):
        return body
    answer = json.loads(body)
    if isinstance(answer, dict):
        for member in SHOWN_ONCE.get(answer.get("object", ""), ()):
            answer[member] = None
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def name_principal(actor: Actor) -> str:
    """Name the owner of the keys: a customer, whose API keys share them, or else the run or the staff key itself."""
    if actor.role == Role.CUSTOMER and actor.customer_id is not None:
        return actor.customer_id
    return actor.id
