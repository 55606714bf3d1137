"""Making templates and their versions, and filling in a configuration from one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from broker import errors
from broker.base_models.service import read_offer
from broker.identity.service import get_project, require_project
from broker.persistence.database import add_unique, narrow
from broker.templates.model import ID_PREFIX, Bounds, Reference, fill_in
from broker.templates.tables import Template, TemplateVersion
from broker.work import Work
from pricing.training.config import JOB_PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid
from pricing.training.job_config import parse_job_config

__all__ = [
    "Content",
    "FromTemplate",
    "Template",
    "TemplateVersion",
    "add_version",
    "archive_template",
    "create_template",
    "fill_in_configs",
    "get_template",
    "get_version",
    "list_newest",
    "list_versions",
    "select_all_templates",
    "select_templates",
]

MOST_NAMED = 20


@dataclass(frozen=True)
class Content:
    """What a version of a template says."""

    config: Mapping[str, Any]
    may_change: Mapping[str, Bounds]
    note: str | None = None


@dataclass(frozen=True)
class FromTemplate:
    """Configurations that were filled in from a version of a template, `name` with that version, and its project."""

    template_id: str
    name: str
    project_id: str
    configs: Sequence[dict[str, Any]]


def select_templates(*, archived: bool, **wanted: str | None) -> Select[Template]:
    """Select the templates that the actor sees, with these values in their columns; archived ones, or the others."""
    query = narrow(select(Template), **wanted)
    return query.where(Template.archived_at.is_not(None) if archived else Template.archived_at.is_(None))


def select_all_templates(customer_id: str) -> Select[Template]:
    """Select the templates of a customer, archived ones, too."""
    return select(Template).where(Template.customer_id == customer_id)


async def list_versions(work: Work, template: Template) -> Sequence[TemplateVersion]:
    """List the versions of a template, the newest first."""
    query = select(TemplateVersion).where(TemplateVersion.template_id == template.id)
    return list(await work.session.scalars(query.order_by(TemplateVersion.version.desc())))


async def get_template(work: Work, template_id: str) -> Template:
    """Get a template. Raises: NotFound; what another tenant has is not found either."""
    return await _get(work, select(Template).where(Template.id == template_id), template_id)


async def get_version(work: Work, template: Template, version: int | None = None) -> TemplateVersion:
    """Get a version of a template; None: its newest. Raises: NotFound."""
    found = await work.session.get(TemplateVersion, (template.id, version or template.newest))
    if found is None:
        raise errors.NotFound("template version", f"{template.name}@{version}")
    return found


async def list_newest(work: Work, templates: Sequence[Template]) -> dict[str, TemplateVersion]:
    """List the newest version of each template, by its id."""
    pairs = select(TemplateVersion).join(Template, Template.id == TemplateVersion.template_id)
    rows = await work.session.scalars(
        pairs.where(Template.id.in_([each.id for each in templates]), TemplateVersion.version == Template.newest)
    )
    return {row.template_id: row for row in rows}


async def create_template(work: Work, project_id: str, name: str, content: Content) -> Template:
    """Create a template of a project, with its first version.

    Raises: NotFound, Forbidden, NameTaken, InvalidRequest.
    """
    require_project(work.actor, project_id)
    project = await get_project(work, project_id)
    await _check(work, content)
    template = Template(
        id=work.new_id(ID_PREFIX.rstrip("_")),
        customer_id=project.customer_id,
        project_id=project_id,
        name=name,
        newest=0,
        created_at=work.now,
    )
    taken = errors.NameTaken(
        f"The project has a template {name!r} already; add a version to it, or choose another name.",
        errors=[errors.FieldError("name", "already in use")],
    )
    await add_unique(work.session, template, taken)
    await _add_version(work, template, content)
    return template


async def add_version(work: Work, template_id: str, content: Content) -> Template:
    """Add a version to a template; jobs that name none are made from it from now on.

    Raises: NotFound, Forbidden, InvalidRequest.
    """
    template = await _lock(work, template_id)
    await _check(work, content)
    await _add_version(work, template, content)
    return template


async def archive_template(work: Work, template_id: str, *, archived: bool) -> Template:
    """Take a template out of use, or back into it; its versions and the jobs made from it stay.

    Raises: NotFound, Forbidden.
    """
    template = await _lock(work, template_id)
    if archived != (template.archived_at is not None):
        template.archived_at = work.now if archived else None
    return template


async def fill_in_configs(
    work: Work, customer_id: str, written: str, project_id: str | None, changes: Sequence[Mapping[str, Any]]
) -> FromTemplate:
    """Fill in configurations from the template that is meant, each with changes of its own.

    Raises: NotFound; InvalidRequest, which names each key that a job may not change so.
    """
    reference = Reference.read(written)
    if reference is None:
        raise errors.invalid_field(
            "template", "must be a template's id or name, with @ and a version where one is meant"
        )
    template = await _find_meant(work, customer_id, reference, project_id)
    version = await get_version(work, template, reference.version)
    filled, wrong = [], []
    for place, each in enumerate(changes):
        config, refused = fill_in(version.config, version.may_change, each)
        filled.append(config)
        where = "config" if len(changes) == 1 else f"configs.{place}"
        wrong += [errors.FieldError(f"{where}.{one.field}", one.message) for one in refused]
    if wrong:
        raise errors.InvalidRequest(
            f"The template {template.name}@{version.version} does not allow this.", errors=wrong
        )
    return FromTemplate(template.id, f"{template.name}@{version.version}", template.project_id, filled)


async def _find_meant(work: Work, customer_id: str, reference: Reference, project_id: str | None) -> Template:
    query = select(Template).where(Template.customer_id == customer_id)
    query = query.where((Template.id if reference.is_id else Template.name) == reference.named)
    found = list(await work.session.scalars(narrow(query, project_id=project_id).limit(MOST_NAMED)))
    if not found:
        raise errors.invalid_field("template", f"there is no template {reference.named}")
    if len(found) > 1:
        projects = ", ".join(sorted(each.project_id for each in found))
        raise errors.invalid_field("project_id", f"{reference.named} is in several projects: say one of {projects}")
    if found[0].archived_at is not None:
        raise errors.invalid_field("template", f"{reference.named} is archived; take it back into use, or name another")
    return found[0]


async def _lock(work: Work, template_id: str) -> Template:
    template = await _get(work, select(Template).where(Template.id == template_id).with_for_update(), template_id)
    require_project(work.actor, template.project_id)
    return template


async def _get(work: Work, query: Select[Template], template_id: str) -> Template:
    template = await work.session.scalar(query)
    if template is None:
        raise errors.NotFound("template", template_id)
    return template


async def _add_version(work: Work, template: Template, content: Content) -> None:
    template.newest += 1
    work.session.add(
        TemplateVersion(
            template_id=template.id,
            version=template.newest,
            customer_id=template.customer_id,
            config=dict(content.config),
            may_change=dict(content.may_change),
            note=content.note,
            made_by=work.actor.id,
            created_at=work.now,
        )
    )
    await work.session.flush()


async def _check(work: Work, content: Content) -> None:
    """Refuse a configuration that no job could train with, and bounds that its own values do not keep."""
    wrong = _list_wrong_bounds(content)
    try:
        parse_job_config(content.config, await read_offer(work))
    except ConfigInvalid as error:
        wrong += [errors.FieldError(f"config.{problem.field}", problem.message) for problem in error.problems]
    if wrong:
        raise errors.InvalidRequest("This cannot be a template.", errors=wrong)


def _list_wrong_bounds(content: Content) -> list[errors.FieldError]:
    wrong = []
    for key, bounds in content.may_change.items():
        field = f"may_change.{key}"
        if key not in TrainingConfig.model_fields or key in JOB_PATH_KEYS:
            wrong.append(errors.FieldError(field, "is no key of a job's configuration"))
        elif key in content.config and bounds.explain(content.config[key]) is not None:
            wrong.append(errors.FieldError(field, f"leaves out the template's own value, {content.config[key]!r}"))
    return wrong
