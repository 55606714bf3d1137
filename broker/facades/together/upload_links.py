"""Addresses to which a file may be sent without a key: who may send which file is sealed in them."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from broker.sealing import find_sealed, seal

GOOD_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class UploadLink:
    """What a bearer may send: one file of a name and a SHA-256, until some time (seconds since 1970).

    `upload_id` is the idempotency key under which it is kept, and by which the client asks for it.
    """

    authorization: str
    upload_id: str
    name: str
    sha256: str
    until: int

    def seal(self, secret: bytes) -> str:
        """Write it so that only this installation can read it, and the bearer's key least of all."""
        return seal(secret, json.dumps(asdict(self)))


def find_link(secret: bytes, sealed: str, now: datetime) -> UploadLink | None:
    """Find what was sealed; None where it was not sealed here, or is good no more."""
    told = find_sealed(secret, sealed)
    link = None if told is None else _read(told)
    return None if link is None or link.until < now.timestamp() else link


def _read(told: str) -> UploadLink | None:
    """Read what is sealed: other things are sealed with the same secret."""
    try:
        return UploadLink(**json.loads(told))
    except (TypeError, ValueError):
        return None
