"""`broker models`: the base models that customers may name."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from broker.audit.service import record_decision
from broker.base_models.describing import describe_model
from broker.base_models.model import ListedModel
from broker.base_models.naming import choose_name
from broker.base_models.placing import place_files
from broker.base_models.schemas import BaseModelOut
from broker.base_models.service import add_model, list_models_now, require_name
from broker.cli.local.database import working_on
from broker.cli.local.options import AsJson, DataDir, load_settings
from broker.cli.output import write_answer
from broker.cli.words import say
from broker.errors import OperatorError
from broker.http.decision import Decision
from broker.jobs.reading.withdrawal import withdraw_model
from broker.work import Work
from pricing.catalog import find_base_model
from pricing.catalog.described import ModelDescription

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Base models that customers may name: add, list, remove.",
)

SHOWN_HASH = 12


@app.command("list")
def list_models(
    everything: Annotated[bool, typer.Option("--all", help="Those, too, that nobody can quote here.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the base models that can be quoted."""
    listed = working_on(load_settings(data_dir=data_dir), list_models_now)
    shown = [model for model in listed if everything or model.reason is None]
    if as_json:
        typer.echo(json.dumps([BaseModelOut.of(model).model_dump(mode="json") for model in shown], indent=2))
        return
    Console().print(_make_table(shown))
    if not everything:
        typer.echo(
            say(
                "{count} more are known to the estimator: --all lists them with what they need.",
                count=len(listed) - len(shown),
            )
        )


def _make_table(models: list[ListedModel]) -> Table:
    table = Table(say("name"), say("family"), say("can be quoted"), say("files"), title=say("Base models"))
    for model in models:
        quoted = (
            say("yes")
            if model.reason is None
            else say("no: needs {needs}", needs=say(" and ").join(model.list_needs()))
        )
        sha256 = model.profile.weights_sha256
        files = (
            say("from the catalogue") if sha256 is None else say("added, SHA-256 {sha256}…", sha256=sha256[:SHOWN_HASH])
        )
        table.add_row(model.profile.name, model.profile.family, quoted, files)
    return table


@app.command("add")
def add(
    folder: Annotated[Path, typer.Argument(help="The folder of the model, or its .safetensors or .gguf file.")],
    name: Annotated[str | None, typer.Option(help="Its name for customers; by default that of the folder.")] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Trace the memory of its training, for exact quotes: takes minutes.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Offer a base model: it is measured, its files are placed where runs find them, and it can be quoted at once."""
    settings = load_settings(data_dir=data_dir)
    if not folder.exists():
        raise OperatorError(say("{folder} is not there; give the folder with the model's files", folder=folder))
    own_name = folder.resolve().stem if folder.is_file() else folder.resolve().name
    name = choose_name(name or own_name)
    description = describe_model(settings.trainer_argv, folder.resolve(), name, trace=trace)
    working_on(settings, lambda work: require_name(work, description.profile))
    place_files(description, folder.resolve(), settings.models_root)  # before it is on offer, and in no transaction
    added = working_on(settings, lambda work: _offer(work, description))
    if as_json:
        typer.echo(added.model_dump_json(indent=2))
        return
    typer.echo(
        say(
            "{name} is on offer: {family}, {parameters} parameters, SHA-256 {sha256}",
            name=added.name,
            family=added.family,
            parameters=f"{added.parameters:,}",
            sha256=added.sha256,
        )
    )
    known = find_base_model(added.name)
    if known is not None and known.parameters != added.parameters:
        typer.echo(
            say(
                "Mind that the published {name} has {parameters}; jobs are quoted by your files.",
                name=known.name,
                parameters=f"{known.parameters:,}",
            )
        )
    typer.echo(
        say(
            "Its files lie in {folder}; a worker that has another folder needs them there, too.",
            folder=settings.models_root,
        )
    )


async def _offer(work: Work, description: ModelDescription) -> BaseModelOut:
    added = await add_model(work, description)
    await record_decision(work, Decision("add_base_model", added.name, None, {"sha256": added.sha256}))
    return BaseModelOut.of(ListedModel(added.profile, None, added.created_at))


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="The name of a model that was added.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Take an added base model off the offer. Its files stay; jobs that are over keep naming it."""
    settings = load_settings(data_dir=data_dir)

    async def withdraw(work: Work) -> str:
        removed = await withdraw_model(work, name)
        await record_decision(work, Decision("remove_base_model", removed.name, None, {"sha256": removed.sha256}))
        return removed.name

    removed = working_on(settings, withdraw)
    told = say(
        "{name} is off the offer; its files are still in {folder}.",
        name=removed,
        folder=settings.models_root,
    )
    write_answer({"name": removed, "models_root": str(settings.models_root)}, told, as_json=as_json)
