"""`broker jobs sweep`: one configuration with several values of some keys, a job for each combination, all or none."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from broker.cli.failures import NOTHING_PAYS, CommandFailed
from broker.cli.output import ask, make_console, write_json, write_lines
from broker.cli.remote import orders
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.jobs.options import FinishBy, GpuTypes, Prefer, Queue, SubmitAtOnce, read_labels
from broker.cli.remote.projects import find_project
from broker.cli.texts.columns import fold
from broker.cli.texts.sweep import SweepOffer, make_sweep, make_sweep_question
from broker.cli.words import say
from broker.client.errors import make_api_error
from broker.client.objects.contracts import Contract
from broker.client.objects.jobs import JobBatch
from broker.client.objects.quotes import Dataset, Quote
from broker.client.typed import BrokerClient
from pricing.estimate.type_choice import Preference
from pricing.unique_yaml import load_yaml

MOST_JOBS = 100


def submit_sweep(
    config: orders.Config,
    settings: Annotated[
        list[str], typer.Option("--set", metavar="KEY=A,B,…", help="A key and its values; repeat it for more keys.")
    ],
    data: orders.Data = None,
    dataset: orders.DatasetId = None,
    at_once: Annotated[
        int | None, typer.Option("--at-once", min=1, max=MOST_JOBS, help="So many run at one time; default: all.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="A name; each job has it with its number.")] = None,
    project: Annotated[str | None, typer.Option("--project", help="The jobs' project: its name or id.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="What they are told apart by; repeat it.")
    ] = None,
    contract: orders.ContractId = None,
    queue: Queue = None,
    max_cost: orders.MaxCost = None,
    gpus: orders.Gpus = None,
    gpu_type: GpuTypes = None,
    prefer: Prefer = Preference.CHEAPEST,
    finish_by: FinishBy = None,
    skip_bad_rows: orders.SkipBadRows = False,
    customer: Customer = None,
    yes: SubmitAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Price a job for each combination of some settings, and submit them all once you have said yes; all, or none."""
    labels, most = read_labels(label or []), orders.check_max_cost(max_cost)
    base = orders.read_config(config, skip_bad_rows=skip_bad_rows)
    changes = combine(read_values(settings))
    console = make_console(stderr=as_json)
    with connect(url, key) as client:
        found = orders.take_dataset(client, data, dataset, customer, console)
        orders.show_findings(found, base, console)
        pays = orders.choose_contract(client, found["customer_id"], contract)
        project_id = None if project is None else find_project(client, project, customer)
        own = {"contract_id": pays["id"], "project_id": project_id, "gpus": gpus} if pays else {"gpus": gpus}
        configs = [{**base, **change} for change in changes]
        _show_prices(client, found, pays, configs, changes, own, console, yes=yes)
        batch = client.submit_jobs(
            configs,
            found["id"],
            at_once=at_once,
            contract_id=pays["id"] if pays else None,
            name=name,
            project_id=project_id,
            labels=labels or None,
            queue=queue,
            max_cost=most,
            gpus=gpus,
            gpu_types=gpu_type,
            prefer=prefer.value,
            finish_by=finish_by,
            customer_id=customer,
        )
    _tell(batch, console, as_json=as_json)


def read_values(typed: Sequence[str]) -> dict[str, list[Any]]:
    """Read `lora_rank=4,8`: a key with its values, each as YAML reads it. Raises: typer.BadParameter."""
    values: dict[str, list[Any]] = {}
    for each in typed:
        key, equals, listed = each.partition("=")
        if not equals or not key or key in values:
            told = (
                say("{name} is given twice", name=key)
                if key in values
                else say("{each} is no setting; write it like lora_rank=4,8", each=repr(each))
            )
            raise typer.BadParameter(told, param_hint="--set")
        try:
            values[key] = [load_yaml(value) for value in listed.split(",")]
        except yaml.YAMLError as error:
            raise typer.BadParameter(
                say("{each} has a value that cannot be read: {error}", each=repr(each), error=error), param_hint="--set"
            ) from error
    return values


def combine(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Combine every value of each key with every one of the others. Raises: typer.BadParameter."""
    changes = [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]
    if len(changes) > MOST_JOBS:
        raise typer.BadParameter(
            say(
                "{count} combinations are more than {most}: name fewer values",
                count=len(changes),
                most=MOST_JOBS,
            ),
            param_hint="--set",
        )
    return changes


def _show_prices(
    client: BrokerClient,
    dataset: Dataset,
    pays: Contract | None,
    configs: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]],
    own: Mapping[str, Any],
    console: Console,
    *,
    yes: bool,
) -> None:
    """Show the price of each job, and ask.

    Raises: typer.Abort; ApiError, CommandFailed, where one cannot be priced or paid.
    """
    quotes: list[Quote] = []
    for place, answer in enumerate(client.create_quotes(configs, dataset["id"], **own)):
        if answer["quote"] is None:
            problem = answer["problem"] or {}
            raise make_api_error(problem["status"], {**problem, "detail": f"configs.{place}: {problem['detail']}"})
        quotes.append(answer["quote"])
    offer = SweepOffer(quotes, changes, pays)
    write_lines(console, make_sweep(offer))
    if pays is None:
        told = say("no contract is in force that could pay for them; ask for one, then submit")
        raise CommandFailed(told, kind=NOTHING_PAYS)
    ask("\n".join(fold(make_sweep_question(offer), console.width - 8)), yes=yes)


def _tell(batch: JobBatch, console: Console, *, as_json: bool) -> None:
    if as_json:
        write_json(batch)
        return
    told = say(
        "Submitted {count} jobs as {id}. List them: broker jobs list --batch {id}",
        count=len(batch["data"]),
        id=batch["id"],
    )
    console.print(told, soft_wrap=True)
