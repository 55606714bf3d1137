"""Names of repositories and revisions, and the adapters that they stand for. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MAIN = "main"
COMMIT_DIGITS = 40
VERSION = re.compile(r"v([1-9][0-9]{0,8})")


def name_owner(customer: Mapping[str, Any]) -> str:
    """Name a customer as the owner of repositories: by its name in lower case, or by its id where that has none."""
    words = re.findall(r"[a-z0-9]+", str(customer["name"]).lower())
    return "-".join(words) or str(customer["id"])


def is_owner(owner: str, customer: Mapping[str, Any]) -> bool:
    return owner in (name_owner(customer), customer["id"])


def name_commit(adapter: Mapping[str, Any]) -> str:
    return str(adapter["sha256"])[:COMMIT_DIGITS]


def find_revision(versions: Iterable[Mapping[str, Any]], revision: str) -> Mapping[str, Any] | None:
    """Find a revision among the versions of an adapter, the newest first: `main`, `v3`, or a commit."""
    if revision == MAIN:
        return next(iter(versions), None)
    version = VERSION.fullmatch(revision)
    wanted = None if version is None else int(version[1])
    return next((each for each in versions if revision == name_commit(each) or each["version"] == wanted), None)
