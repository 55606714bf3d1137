"""The routes that the hub's client asks to look at a repository and to download it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from broker.facades.asking import Broker, Refused, require_name
from broker.facades.hf.door import hub_router, not_found
from broker.facades.hf.files import RepositoryFile, list_files, write_repository, write_tree
from broker.facades.hf.repositories import MAIN, find_revision, is_owner, name_commit, name_owner
from broker.facades.passing import PassedOn

router = hub_router()
ADAPTER_ID = "ada_"


@dataclass(frozen=True)
class Found:
    """A repository at one revision: its name, its adapter and its files."""

    name: str
    adapter: Mapping[str, Any]
    files: Mapping[str, RepositoryFile]

    @property
    def commit(self) -> str:
        return name_commit(self.adapter)


@router.get("/api/whoami-v2")
async def tell_identity(request: Request) -> dict[str, Any]:
    """Tell whose token it is."""
    told = await Broker(request).get("/whoami")
    name = told["role"] if told["customer"] is None else name_owner(told["customer"])
    return {"type": "user", "id": told["api_key"]["id"], "name": name, "fullname": name, "orgs": []}


@router.get("/api/models/{owner}/{repository}")
async def get_repository(request: Request, owner: str, repository: str) -> dict[str, Any]:
    found = await _find(request, owner, repository, MAIN)
    return write_repository(found.name, found.adapter, found.files)


@router.get("/api/models/{owner}/{repository}/revision/{revision}")
async def get_revision(request: Request, owner: str, repository: str, revision: str) -> dict[str, Any]:
    found = await _find(request, owner, repository, revision)
    return write_repository(found.name, found.adapter, found.files)


@router.get("/api/models/{owner}/{repository}/tree/{revision}")
async def list_tree(request: Request, owner: str, repository: str, revision: str) -> list[dict[str, Any]]:
    """List the files: all of them lie at the top, so whether folders are gone through makes no difference."""
    return write_tree((await _find(request, owner, repository, revision)).files)


@router.get("/{owner}/{repository}/resolve/{revision}/{path:path}")
async def resolve_file(request: Request, owner: str, repository: str, revision: str, path: str) -> Response:
    """Answer a file, or the part of it that is asked for: the weights as the REST API gives them."""
    found = await _find(request, owner, repository, revision)
    file = found.files.get(path)
    if file is None:
        refused = not_found("EntryNotFound", f"{found.name} has no file {path} at {revision}.")
        raise Refused(refused.status, refused.members, {"x-repo-commit": found.commit})
    tag = f'"{file.digest}"'
    headers = {"X-Repo-Commit": found.commit, "ETag": tag}
    if file.content is not None:
        return Response(file.content, headers=headers, media_type="application/octet-stream")
    return PassedOn(request.app, f"/v1/adapters/{found.adapter['id']}/download", headers=headers)


async def _find(request: Request, owner: str, repository: str, revision: str) -> Found:
    """Find a repository of the bearer's own at a revision. Raises: Refused."""
    broker, name = Broker(request), f"{owner}/{repository}"
    customer = (await broker.get("/whoami"))["customer"]
    if customer is None or not is_owner(owner, customer):
        raise not_found("RepoNotFound", f"{name} is not yours: your repositories begin with your own name.")
    versions = await _list_versions(broker, repository)
    if not versions:
        raise not_found("RepoNotFound", f"You have no adapter {repository}.")
    adapter = find_revision(versions, revision)
    if adapter is None:
        raise not_found("RevisionNotFound", f"{name} has no revision {revision}: main, v1 and so on, or a commit.")
    return Found(name, adapter, list_files(adapter, await broker.find_adapter_config(adapter["id"])))


async def _list_versions(broker: Broker, repository: str) -> list[dict[str, Any]]:
    """List the versions of an adapter by its name, the newest first; or the one of this id."""
    if repository.startswith(ADAPTER_ID):
        try:
            return [await broker.get(f"/adapters/{require_name(repository)}")]
        except Refused as refused:
            if refused.status != 404:
                raise
    found = list[dict[str, Any]]()
    cursor: str | None = None
    while True:
        page = await broker.get("/adapters", name=repository, limit=100, cursor=cursor)
        found += page["data"]
        if (cursor := page["next_cursor"]) is None:
            return sorted(found, key=lambda each: -int(each["version"]))
