"""Style, script and vendored libraries: read once, served under an address that has their hash, kept for ever."""

import hashlib
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOLDERS = ("static", "static/vendor")
# The address changes with the file.
FOR_EVER = "public, max-age=31536000, immutable"
DIGEST_LENGTH = 12

router = APIRouter(prefix="/console/static", include_in_schema=False)


@dataclass(frozen=True)
class StaticFile:
    content: bytes
    media_type: str
    digest: str


@cache
def load_files() -> dict[str, StaticFile]:
    """Load every file that pages may fetch, by its name."""
    found = {}
    for folder in FOLDERS:
        for each in files("broker.console").joinpath(folder).iterdir():
            media_type = TYPES.get(each.name[each.name.rfind(".") :])
            if media_type is not None:
                content = each.read_bytes()
                found[each.name] = StaticFile(content, media_type, hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH])
    return found


def link_file(name: str) -> str:
    """Write the address of a file as it is now."""
    return f"{router.prefix}/{load_files()[name].digest}/{name}"


@router.get("/{digest}/{name}")
async def get_file(digest: str, name: str) -> Response:
    """Answer a file; an address of an earlier one is not found, so that no cache keeps the wrong content under it."""
    found = load_files().get(name)
    if found is None or found.digest != digest:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no file {name!r} of this release; load the page again.")
    headers = {"Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return Response(found.content, media_type=found.media_type, headers=headers)
