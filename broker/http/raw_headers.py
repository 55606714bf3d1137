"""Headers of a request as the server hands them over, each found by one look through the list.

Starlette's mapping decodes, and compares as text, each time it is asked, which each request of a hot path does a dozen
times.
"""

from starlette.types import Scope


def find_header(scope: Scope, name: bytes) -> str | None:
    """Find the first header of a name, which is in lower case as the server's are; None where there is none."""
    for told, value in scope["headers"]:
        if told == name:
            return value.decode("latin-1")  # type: ignore[no-any-return]
    return None
