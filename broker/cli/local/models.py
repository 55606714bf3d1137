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
        typer.echo(f"{len(listed) - len(shown)} more are known to the estimator: --all lists them with what they need.")


def _make_table(models: list[ListedModel]) -> Table:
    table = Table("name", "family", "can be quoted", "files", title="Base models")
    for model in models:
        quoted = "yes" if model.reason is None else f"no: needs {' and '.join(model.list_needs())}"
        sha256 = model.profile.weights_sha256
        files = "from the catalogue" if sha256 is None else f"added, SHA-256 {sha256[:SHOWN_HASH]}…"
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
        raise OperatorError(f"{folder} is not there; give the folder with the model's files")
    own_name = folder.resolve().stem if folder.is_file() else folder.resolve().name
    name = choose_name(name or own_name)
    description = describe_model(settings.trainer_argv, folder.resolve(), name, trace=trace)
    working_on(settings, lambda work: require_name(work, description.profile))
    place_files(description, folder.resolve(), settings.models_root)  # before it is on offer, and in no transaction
    added = working_on(settings, lambda work: _offer(work, description))
    if as_json:
        typer.echo(added.model_dump_json(indent=2))
        return
    typer.echo(f"{added.name} is on offer: {added.family}, {added.parameters:,} parameters, SHA-256 {added.sha256}")
    known = find_base_model(added.name)
    if known is not None and known.parameters != added.parameters:
        typer.echo(f"Mind that the published {known.name} has {known.parameters:,}; jobs are quoted by your files.")
    typer.echo(f"Its files lie in {settings.models_root}; a worker that has another folder needs them there, too.")


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
    told = f"{removed} is off the offer; its files are still in {settings.models_root}."
    write_answer({"name": removed, "models_root": str(settings.models_root)}, told, as_json=as_json)
