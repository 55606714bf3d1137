"""`broker templates`: configurations of a project with a name and versions, and what of them a job may change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from broker.cli.output import make_console, one_line, write_json
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.orders import read_config
from broker.cli.remote.projects import find_project
from broker.cli.texts.columns import Column
from broker.cli.words import say
from broker.client.typed import BrokerClient
from pricing.unique_yaml import load_yaml

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Templates: list, show, create, add-version, archive, restore."
)

# What `--may-change` says where a job may change nothing.
NOTHING = "none"
COLUMNS = (Column("template"), Column("id"), Column("a job may change"), Column("what is new"))
MeantTemplate = Annotated[str, typer.Argument(metavar="TEMPLATE", help="The template, by name or id.")]
OfProject = Annotated[str | None, typer.Option("--project", help="The project, by name or id.")]
Config = Annotated[Path, typer.Option("--config", exists=True, dir_okay=False, help="The trainer's YAML file.")]
MayChange = Annotated[
    list[str] | None,
    typer.Option(
        "--may-change", metavar="KEY[=BOUNDS]", help="A key a job may change: seed, rank=4,8, epochs=1..20; none."
    ),
]
Note = Annotated[str | None, typer.Option("--note", help="What is new in it.")]


@app.command("list")
def list_templates(
    project: OfProject = None,
    archived: Annotated[bool, typer.Option("--archived", help="Those out of use.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the templates in use, each with its newest version."""
    with connect(url, key) as client:
        project_id = None if project is None else find_project(client, project)
        page = collect_page(client.list_all("/templates", project_id=project_id, archived=archived or None))
    write_table(page, COLUMNS, _make_row, as_json=as_json)


def _make_row(template: dict[str, Any]) -> Sequence[str]:
    newest = template["newest"]
    may = ", ".join(sorted(newest["may_change"])) or say("nothing")
    return [f"{template['name']}@{newest['version']}", template["id"], may, one_line(newest["note"] or "")]


@app.command("show")
def show_template(
    template: MeantTemplate, project: OfProject = None, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Show what a template says: of a version, `template_sd_v15@3`, or the newest."""
    name, _at, number = template.partition("@")
    with connect(url, key) as client:
        found = find_template(client, name, project)
        said = client.get(f"/templates/{found['id']}/versions/{number}") if number else found["newest"]
    if as_json:
        write_json(said)
        return
    shown = {"config": said["config"], "may_change": said["may_change"]}
    console = make_console()
    console.print(f"{found['name']}@{said['version']} ({found['id']})", markup=False)
    console.print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), markup=False, end="")


@app.command("create")
def create_template(
    name: Annotated[str, typer.Argument(help="Its name, such as template_sd_v15.")],
    project: Annotated[str, typer.Option("--project", help="The project that it is of, by name or id.")],
    config: Config,
    may_change: MayChange = None,
    note: Note = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a template of a trainer's YAML file; its paths are left out."""
    content = read_content(config, may_change or (), note)
    with connect(url, key) as client:
        body = {"project_id": find_project(client, project), "name": name, **content}
        _tell(client.post("/templates", body), as_json=as_json)


@app.command("add-version")
def add_version(
    template: MeantTemplate,
    config: Config,
    project: OfProject = None,
    may_change: MayChange = None,
    note: Note = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add a version, which jobs that name none are made from; they may change what they might, unless it is said."""
    content = read_content(config, may_change or (), note)
    with connect(url, key) as client:
        found = find_template(client, template, project)
        if may_change is None:
            content["may_change"] = found["newest"]["may_change"]
        _tell(client.post(f"/templates/{found['id']}/versions", content), as_json=as_json)


@app.command("archive")
def archive_template(
    template: MeantTemplate, project: OfProject = None, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Take a template out of use: no new job is made from it."""
    with connect(url, key) as client:
        found = find_template(client, template, project)
        _tell(client.patch(f"/templates/{found['id']}", {"archived": True}), as_json=as_json)


@app.command("restore")
def restore_template(
    template: MeantTemplate, project: OfProject = None, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Take a template back into use."""
    with connect(url, key) as client:
        found = find_template(client, template, project, archived=True)
        _tell(client.patch(f"/templates/{found['id']}", {"archived": False}), as_json=as_json)


def _tell(template: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(template)
        return
    name = f"{template['name']}@{template['newest']['version']} ({template['id']})"
    state = say("{name} is out of use.", name=name) if template["archived_at"] else say("{name} is in use.", name=name)
    make_console().print(state, markup=False)


def find_template(
    client: BrokerClient, typed: str, project: str | None = None, *, archived: bool = False
) -> dict[str, Any]:
    """Find a template by its id or its name. Raises: typer.BadParameter, ApiError, NotReachable."""
    if typed.startswith("tpl_"):
        found: dict[str, Any] = client.get(f"/templates/{typed}")
        return found
    project_id = None if project is None else find_project(client, project)
    named = list(client.list_all("/templates", name=typed, project_id=project_id, archived=archived or None))
    if len(named) == 1:
        return dict(named[0])
    told = (
        say("several projects have one of this name; say --project")
        if named
        else say("there is no template {typed}; `broker templates list` shows yours", typed=typed)
    )
    raise typer.BadParameter(told, param_hint="TEMPLATE")


def read_content(config: Path, may_change: Sequence[str], note: str | None) -> dict[str, Any]:
    """Read what a version is to say. Raises: typer.BadParameter."""
    bounds = {} if list(may_change) == [NOTHING] else dict(map(read_bounds, may_change))
    content = {"config": read_config(config, skip_bad_rows=False), "may_change": bounds}
    return content if note is None else {**content, "note": note}


def read_bounds(typed: str) -> tuple[str, dict[str, Any]]:
    """Read a key that a job may change as it is typed: `seed`, `lora_rank=4,8,16`, `epochs=1..20`, `epochs=..20`."""
    key, equals, said = typed.partition("=")
    least, dots, most = said.partition("..")
    if not equals:
        return key, {}
    if not dots:
        return key, {"one_of": [read_value(each) for each in said.split(",")]}
    bounds = {"at_least": least, "at_most": most}
    return key, {name: read_value(value) for name, value in bounds.items() if value}


def read_value(typed: str) -> Any:
    """Read a value as the trainer's YAML file would have it: a number, a word, a list in brackets."""
    try:
        return load_yaml(typed)
    except yaml.YAMLError:
        return typed


def read_settings(
    config: Path | None, template: str | None, changes: Sequence[str], *, skip_bad_rows: bool
) -> dict[str, Any]:
    """Read what to train: a file, or what is changed of a template. Raises: typer.BadParameter."""
    if (config is None) == (template is None):
        told = say("say what to train: --config FILE or --template NAME")
        raise typer.BadParameter(told, param_hint="--config")
    if config is not None:
        if changes:
            raise typer.BadParameter(say("goes with --template; of a file, change the file"), param_hint="--set")
        return read_config(config, skip_bad_rows=skip_bad_rows)
    return {**read_changes(changes), "skip_bad_rows": True} if skip_bad_rows else read_changes(changes)


def read_changes(typed: Sequence[str]) -> dict[str, Any]:
    """Read what a job changes of its template, as it is typed: `lora_rank=16`. Raises: typer.BadParameter."""
    changes = {}
    for each in typed:
        key, equals, value = each.partition("=")
        if not equals or key in changes:
            told = (
                say("{name} is given twice", name=key)
                if equals
                else say("{each} changes nothing; write it like lora_rank=16", each=repr(each))
            )
            raise typer.BadParameter(told, param_hint="--set")
        changes[key] = read_value(value)
    return changes
