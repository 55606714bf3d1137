"""Names that a request has and its route does not know: each is answered by the nearest known one."""

from collections.abc import Collection
from difflib import get_close_matches

MAX_NAMED = 20


def describe_unknown(name: str, known: Collection[str], what: str) -> str:
    """Describe a parameter or field that is not known, and the cure."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"is no {what} of this request; did you mean {near[0]}?"
    if not known:
        return f"is no {what} of this request, which takes none"
    return f"is no {what} of this request; it takes {', '.join(sorted(known))}"
