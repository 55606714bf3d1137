"""Members of projects: keys that act, or only look, within the projects of which they are one."""

from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.identity.service import get_api_key, get_project
from broker.identity.tables import ApiKey, ProjectMember
from broker.work import Work

# What a confined key may do at all, and what it does where nothing is said: the rest is of the whole account.
OF_PROJECTS = ("training:read", "training:write", "production:write")
USUALLY = ("training:write",)


async def list_members(work: Work, project_id: str) -> Sequence[tuple[ProjectMember, ApiKey]]:
    """List the members of a project with their keys, the earliest first. Raises: NotFound."""
    await get_project(work, project_id)
    query = select(ProjectMember, ApiKey).join(ApiKey, ApiKey.id == ProjectMember.api_key_id)
    rows = await work.session.execute(
        query.where(ProjectMember.project_id == project_id).order_by(ProjectMember.created_at, ApiKey.id)
    )
    return [(member, key) for member, key in rows]


async def count_members(work: Work, project_ids: Collection[str]) -> dict[str, int]:
    """Count the members of some projects, by the projects' ids; one without any is left out."""
    query = select(ProjectMember.project_id, func.count()).where(ProjectMember.project_id.in_(project_ids))
    return dict((await work.session.execute(query.group_by(ProjectMember.project_id))).all())


async def set_member(work: Work, project_id: str, key_id: str, role: str) -> tuple[ProjectMember, ApiKey]:
    """Make a key a member of a project, or another kind of member.

    Raises: NotFound; InvalidRequest, for a key that is not confined to projects: it may do all already.
    """
    project, key = await get_project(work, project_id), await get_api_key(work, key_id)
    if key.customer_id != project.customer_id:
        raise errors.NotFound("API key", key_id)
    if not key.is_confined:
        raise errors.invalid_field("key_id", "is of the whole account; make a key with `confined_to_projects` instead")
    told = {"project_id": project_id, "api_key_id": key_id, "customer_id": project.customer_id, "role": role}
    entry = insert(ProjectMember).values(created_at=work.now, **told)  # a twin may be making it, too
    kept = entry.on_conflict_do_update(index_elements=["project_id", "api_key_id"], set_={"role": role})
    return (await work.session.scalars(kept.returning(ProjectMember))).one(), key


async def remove_member(work: Work, project_id: str, key_id: str) -> None:
    """End a key's membership of a project; its next request there finds nothing. Raises: NotFound."""
    await get_project(work, project_id)
    ended = delete(ProjectMember).where(ProjectMember.project_id == project_id, ProjectMember.api_key_id == key_id)
    if not (await work.session.execute(ended.returning(ProjectMember.project_id))).all():
        raise errors.NotFound("member", key_id)


async def take_over_memberships(work: Work, old_id: str, new: ApiKey) -> None:
    """Make a key a member wherever the one is that it replaces."""
    for row in await work.session.scalars(select(ProjectMember).where(ProjectMember.api_key_id == old_id)):
        told = {"project_id": row.project_id, "customer_id": row.customer_id, "role": row.role}
        work.session.add(ProjectMember(api_key_id=new.id, created_at=work.now, **told))
    await work.session.flush()
