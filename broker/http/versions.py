"""Versions of what is changed in place: `ETag` says what somebody has seen, `If-Match` that it is still so.

(RFC 9110, sections 8.8.3 and 13.1.1.) A version is of what the PATCH itself may set, not of what lives beside it: two
people who look at a queue while jobs come and go have seen the same one. Without the header the last word counts.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header

from broker import errors

ETAG, HEADER = "ETag", "If-Match"
DIGEST_LENGTH = 16
ANY = "*"

SeenVersion = Annotated[
    str | None,
    Header(
        alias=HEADER,
        max_length=1000,
        description="The `ETag` that was seen: where it has changed since, nothing is done (412).",
        examples=['"5f0c7d1e9a3b2c4d"'],
    ),
]


def make_etag(settings: Mapping[str, Any]) -> str:
    """Make the version of settings: the same ones have the same, in every process. Pure."""
    written = json.dumps(settings, sort_keys=True, default=str)
    return f'"{hashlib.sha256(written.encode()).hexdigest()[:DIGEST_LENGTH]}"'


def require_version(
    seen: str | None, settings: Mapping[str, Any], changes: Mapping[str, Any], *, what: tuple[str, str]
) -> None:
    """Require that settings, which are locked, are as somebody has seen them; `what` they are of, by kind and id. Pure.

    Where they are not, each field that was sent and is another now is told with its value.
    Raises: VersionMismatch.
    """
    if seen is None or {ANY, make_etag(settings)} & {each.strip() for each in seen.split(",")}:
        return
    other = [
        errors.FieldError(name, f"is {_write(settings[name])} now")
        for name, value in changes.items()
        if name in settings and settings[name] != value
    ]
    kind, object_id = what
    raise errors.VersionMismatch(
        f"The {kind} {object_id} has been changed since you looked at it; nothing was done."
        " Look at what is there now, and decide anew.",
        errors=other,
    )


def _write(value: Any) -> str:
    if value is None:
        return "empty"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
