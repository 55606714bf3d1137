"""`broker projects` with their members, and projects as people name them."""

from typing import Annotated

import typer

from broker.cli.output import make_console, one_line, tell_gone, write_answer, write_json
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column
from broker.cli.words import say
from broker.client.objects.values import Page
from broker.client.typed import BrokerClient

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Projects: list, create, members.")

COLUMNS = (Column("project"), Column("name"))
MEMBERS = (Column("key"), Column("name"), Column("role"))


@app.command("list")
def list_projects(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the projects."""
    with connect(url, key) as client:
        projects = collect_page(client.list_all("/projects"))
    write_table(projects, COLUMNS, lambda each: [each["id"], one_line(each["name"])], as_json=as_json)


@app.command("create")
def create_project(
    name: Annotated[str, typer.Argument(help="A name for people; adapters get it, too.")],
    customer: Customer = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a project."""
    with connect(url, key) as client:
        project = client.create_project(name, customer_id=customer)
    if as_json:
        write_json(project)
    else:
        make_console().print(say("{id} is {name}.", id=project["id"], name=one_line(project["name"])))


@app.command("members")
def list_members(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project, by id or name.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the keys that are members of a project; keys of the whole account are none."""
    with connect(url, key) as client:
        members = client.get(f"/projects/{find_project(client, project)}/members")
    page: Page[dict[str, str]] = {"data": members["data"], "next_cursor": None}
    write_table(page, MEMBERS, lambda each: [each["api_key_id"], one_line(each["name"]), each["role"]], as_json=as_json)


@app.command("set-member")
def set_member(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project, by id or name.")],
    member: Annotated[str, typer.Argument(metavar="KEY", help="A key that is confined to projects, by its id.")],
    role: Annotated[str, typer.Option(help="member, or viewer.")] = "member",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a key a member of a project (`broker keys create NAME --confined` makes such a key)."""
    with connect(url, key) as client:
        made = client.put(f"/projects/{find_project(client, project)}/members/{member}", {"role": role})
    if as_json:
        write_json(made)
    else:
        make_console().print(
            say("{name} is {role} of {project}.", name=one_line(made["name"]), role=role, project=project)
        )


@app.command("remove-member")
def remove_member(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project, by id or name.")],
    member: Annotated[str, typer.Argument(metavar="KEY", help="The member's key, by its id.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """End a key's membership of a project."""
    with connect(url, key) as client:
        client.delete(f"/projects/{find_project(client, project)}/members/{member}")
    write_answer(
        tell_gone(member),
        say("{member} is no member of {project} any more.", member=member, project=project),
        as_json=as_json,
    )


def find_project(client: BrokerClient, typed: str, customer_id: str | None = None) -> str:
    """Find a project's id by its id or its name. Raises: typer.BadParameter, ApiError, NotReachable."""
    if typed.startswith("prj_"):
        return typed
    projects = list(client.list_all("/projects", customer_id=customer_id))
    found = [project["id"] for project in projects if project["name"] == typed]
    if len(found) == 1:
        return str(found[0])
    names = ", ".join(sorted({one_line(project["name"]) for project in projects})) or say("none")
    told = (
        say("several projects have this name; give the id")
        if found
        else say("there is no such project; there are: {names}", names=names)
    )
    raise typer.BadParameter(told, param_hint="--project")
