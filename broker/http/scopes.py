"""What a key with scopes may do: each route belongs to an area, and reads or writes there.

A key without scopes may do all that its role may. Scopes take away only: a route asks for its roles as ever.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, get_args

from fastapi import Request

from broker import errors
from broker.work import Actor

Scope = Literal[
    "training:read",
    "training:write",
    "billing:read",
    "billing:write",
    "operations:read",
    "operations:write",
    "account:read",
    "account:write",
    "production:write",
]
SCOPES: Sequence[Scope] = get_args(Scope)
# By the tag of a route; what is named nowhere is of the account, which fewest keys are for.
AREA_OF = {
    "jobs": "training",
    "datasets": "training",
    "quotes": "training",
    "templates": "training",
    "adapters": "training",
    "base models": "training",
    "billing": "billing",
    "contracts": "billing",
    "metering": "billing",
    "rate cards": "billing",
    "reports": "billing",
    "capacity": "operations",
    "operations": "operations",
}
ACCOUNT = "account"
# Whose key it is may be asked with each.
OF_EVERY_KEY = frozenset({"get_identity"})
READING = frozenset({"GET", "HEAD"})


def find_scope(name: str, tags: Sequence[Any], methods: Collection[str]) -> str | None:
    """Find the scope that a route needs; None for one that each key may ask."""
    if name in OF_EVERY_KEY:
        return None
    area = next((AREA_OF[str(tag)] for tag in tags if str(tag) in AREA_OF), ACCOUNT)
    return f"{area}:{'read' if READING.issuperset(methods) else 'write'}"


def covers(held: Collection[str] | None, wanted: str) -> bool:
    """Tell whether what a key holds is enough; who may write may read."""
    if held is None:
        return True
    return wanted in held or f"{wanted.partition(':')[0]}:write" in held


def require_scope(request: Request, actor: Actor, wanted: str | None) -> None:
    """Refuse a key whose scopes leave out what a route does. Raises: Forbidden."""
    if wanted is not None and not covers(actor.scopes, wanted):
        told = ", ".join(sorted(actor.scopes or ())) or "none"
        raise errors.Forbidden(
            f"{request.method} {request.url.path} needs a key with the scope {wanted}; yours has {told}."
        )


def require_each(actor: Actor, wanted: Collection[str]) -> None:
    """Refuse a key whose scopes leave out any of those that something takes together. Raises: Forbidden."""
    beyond = sorted(each for each in wanted if not covers(actor.scopes, each))
    if beyond:
        raise errors.Forbidden(
            f"This takes a key with the scopes {', '.join(wanted)}; yours lacks {', '.join(beyond)}."
        )


def require_all_of(actor: Actor, scopes: Collection[str] | None) -> None:
    """Refuse to give a new key more than its maker has. Raises: Forbidden."""
    beyond = sorted(each for each in scopes if not covers(actor.scopes, each)) if scopes is not None else ["all"]
    if actor.scopes is not None and beyond:
        raise errors.Forbidden(
            f"A key with scopes gives no more than it has: {', '.join(beyond)} is beyond "
            f"{', '.join(sorted(actor.scopes))}."
        )
