"""The body of a request: read whole before the transaction opens, within its limit, and free of what no table keeps.

Uploads are not read here: their routes stream them to the storage, with limits of their own.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message

from broker import errors
from broker.http.form import receive_form
from broker.http.raw_headers import find_header
from broker.work import Services

MAX_JSON_BYTES = 8 * 1024 * 1024
FORM_SLACK_BYTES = 1024 * 1024
MAX_DEPTH = 32
ASKING = frozenset({"GET", "HEAD"})
ANNOUNCING = frozenset({b"content-length", b"transfer-encoding"})
INT64 = range(-(2**63), 2**63)
# What FastAPI reads as JSON, however oddly it is named: no body reaches a handler unchecked.
JSON_TYPE = re.compile(r"application/(?:[^;/]*\+)?json\s*(?:;|$)", re.IGNORECASE)
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# How everything that `find_unstorable` finds is written, but for what is nested too deep, and some that is well. A NUL
# is of another encoding than UTF-8, where nothing looks as it does here.
ODD_NUMBER = rb"\s*-?(?:NaN|Infinity|[0-9]{18}|[0-9][0-9.]*[eE])"
# Each alternative begins with a sign of its own: what none begins with is passed over faster.
SUSPICIOUS = re.compile(
    rb"\\u(?:0000|[dD][89a-fA-F])|\xed[\xa0-\xbf]|\x00|:%b|,%b|\[%b" % (ODD_NUMBER, ODD_NUMBER, ODD_NUMBER)
)


class BodyRequest(Request):
    """A request whose JSON names each key of an object once: of two values one would be passed over in silence."""

    async def json(self) -> Any:
        """Parse the body, once. Raises: ValueError, RecursionError, InvalidRequest."""
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        return self._json

    async def _get_form(self, **limits: Any) -> FormData:
        """Receive a multipart form into a file, once; `form`, which FastAPI calls too, asks here."""
        if self._form is None and is_form(self):
            services: Services = self.app.state.services
            self._form = await receive_form(self.headers, self.stream(), services.storage.scratch)
        return await super()._get_form(**limits)


def join_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Join the pairs of a JSON object, in one pass. Raises: InvalidRequest, where a key comes twice."""
    document = dict(pairs)
    if len(document) < len(pairs):
        counts = Counter(name for name, _value in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise errors.invalid_field("body", f"has the key {twice[:100]!r} more than once in one object; send it once")
    return document


def has_no_body(request: Request) -> bool:
    """Tell whether a request only asks, and announces no body."""
    return request.method in ASKING and ANNOUNCING.isdisjoint(name for name, _value in request.scope["headers"])


DECODER = json.JSONDecoder(object_pairs_hook=join_pairs)  # made once: making one costs as much as a small document


def is_form(request: Request) -> bool:
    return find_type(request).lower().startswith("multipart/form-data")


def find_type(request: Request) -> str:
    """Find the content type that a request announces; an empty one where it does not."""
    return find_header(request.scope, b"content-type") or ""


@dataclass(frozen=True)
class BodyLimit:
    """How large the files of a form may be, and what is raised for more."""

    most_bytes: int
    refusal: errors.DomainError


def limit_body(
    request: Request, services: Services, *, most_bytes: int | None = None, of_form: BodyLimit | None = None
) -> Request:
    """Limit the body of a request: reading more of it than this broker takes, or `most_bytes`, raises UploadTooLarge.

    A form may have a limit `of_form` that is lower. Raises: its refusal, or UploadTooLarge, at once, before a byte is
    read, where the header announces too much.
    """
    if has_no_body(request):
        return request
    usual = services.settings.max_dataset_bytes + FORM_SLACK_BYTES if is_form(request) else MAX_JSON_BYTES
    limit = usual if most_bytes is None else most_bytes
    refusal: errors.DomainError | None = None
    if of_form is not None and of_form.most_bytes + FORM_SLACK_BYTES < limit:
        limit, refusal = of_form.most_bytes + FORM_SLACK_BYTES, of_form.refusal
    announced = find_header(request.scope, b"content-length") or "0"
    if not re.fullmatch("[0-9]{1,18}", announced) or int(announced) > limit:
        raise refusal or _too_large(limit)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise refusal or _too_large(limit)
        return message

    return BodyRequest(request.scope, receive)


def _too_large(limit: int) -> errors.UploadTooLarge:
    message = f"has more than {limit} bytes; send a smaller one"
    return errors.UploadTooLarge(f"body: {message}", errors=[errors.FieldError("body", message)], limit_bytes=limit)


async def read_body(request: Request, *, streams: bool = False, checks_values: bool = True) -> None:
    """Receive and check the whole body; the handler finds it parsed. Raises: InvalidRequest, UploadTooLarge.

    It is left to a route that streams it, and its values are left unchecked for one that checks them itself.
    """
    found = _check_fields(request.path_params)
    if request.scope["query_string"]:
        found += _check_fields(dict(request.query_params))
    if streams or has_no_body(request):
        pass
    elif is_form(request):
        found += _check_form((await request.form()).multi_items())
    elif await request.body() and JSON_TYPE.match(find_type(request)):
        document = await _read_json(request)
        if checks_values and may_be_unstorable(await request.body()):
            found += find_unstorable(document)
    if found:
        raise errors.InvalidRequest("; ".join(f"{item.field}: {item.message}" for item in found), errors=found)


async def _read_json(request: Request) -> Any:
    try:
        return await request.json()
    except RecursionError as error:
        raise errors.invalid_field("body", f"is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise errors.invalid_field("body", f"is not JSON: {error}") from error


def _check_form(items: list[tuple[str, UploadFile | str]]) -> list[errors.FieldError]:
    texts = [(name, value.filename or "" if isinstance(value, UploadFile) else value) for name, value in items]
    return [error for name, text in texts for error in _check_fields({name: text})]


def may_be_unstorable(written: bytes) -> bool:
    """Tell whether a JSON document may have what `find_unstorable` finds: one that cannot is not looked through."""
    is_nested = written.lstrip()[:1] in {b"{", b"["}
    is_deep = written.count(b"{") + written.count(b"[") > MAX_DEPTH
    return is_deep or not is_nested or SUSPICIOUS.search(written) is not None


def _check_fields(fields: dict[str, Any]) -> list[errors.FieldError]:
    if UNSTORABLE.search("\n".join(map(str, [*fields, *fields.values()]))) is None:
        return []
    return list(find_unstorable({name: value for name, value in fields.items() if isinstance(value, str)}))


def find_unstorable(document: Any) -> Iterator[errors.FieldError]:
    """Find what JSON can write and PostgreSQL cannot keep, each with its dotted path and the cure."""
    waiting: list[tuple[str, int, Any]] = [("", 0, document)]
    while waiting:
        path, depth, value = waiting.pop()
        message = _refuse_value(value, depth)
        if message is not None:
            yield errors.FieldError(path or "body", message)
        elif isinstance(value, dict):
            if any(UNSTORABLE.search(key) for key in value):
                yield errors.FieldError(path or "body", "has a key with a NUL or half a surrogate pair; remove it")
            waiting += [(_join(path, key), depth + 1, inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(_join(path, str(place)), depth + 1, inner) for place, inner in enumerate(value)][::-1]


def _refuse_value(value: Any, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, str) and UNSTORABLE.search(value):
        return "has a NUL character or half a surrogate pair, which cannot be stored; remove it"
    if isinstance(value, int) and value not in INT64:
        return "is too large a number: whole numbers have 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number"
    return None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
