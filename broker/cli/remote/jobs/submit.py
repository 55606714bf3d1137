"""`broker jobs submit`: data and their findings, the price, the question, the job."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from broker.cli.failures import NOTHING_PAYS, CommandFailed
from broker.cli.output import ask, make_console, write_answer, write_json, write_lines
from broker.cli.remote import orders
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.jobs import gate
from broker.cli.remote.jobs.options import FinishBy, GpuTypes, Prefer, Queue, SubmitAtOnce, read_labels
from broker.cli.remote.jobs.watch import watch
from broker.cli.remote.projects import find_project
from broker.cli.remote.templates import read_settings
from broker.cli.texts.columns import fold
from broker.cli.texts.price import Offer, make_offer, make_question
from broker.cli.words import say
from broker.client.objects.contracts import Contract
from broker.client.objects.jobs import Job
from broker.client.objects.quotes import Quote
from broker.client.typed import BrokerClient
from pricing.estimate.type_choice import Preference

QuoteId = Annotated[str | None, typer.Option("--quote", help="Submit what this quote is of, at its price.")]
Watch = Annotated[
    bool,
    typer.Option(
        *("--follow", "-f", "--wait", "--watch", "-w"), help="Follow the job to its end; Ctrl-C leaves it running."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show all that comes before the question, and submit nothing.")]


@dataclass(frozen=True)
class Order:
    """What is submitted, as it was typed; each command line has a quote, or the files for one."""

    config: Path | None
    data: list[Path] | None
    dataset: str | None
    quote: str | None
    contract: str | None
    max_cost: str | None
    customer: str | None
    skip_bad_rows: bool
    gpus: int | None
    template: str | None
    changes: list[str]

    def read_settings(self) -> dict[str, Any]:
        """Read what to train: a file, or what is changed of a template. Raises: typer.BadParameter."""
        return read_settings(self.config, self.template, self.changes, skip_bad_rows=self.skip_bad_rows)


def submit_job(
    config: orders.ConfigOrTemplate = None,
    template: orders.Template = None,
    changes: orders.Changes = None,
    data: orders.Data = None,
    dataset: orders.DatasetId = None,
    quote: QuoteId = None,
    name: Annotated[str | None, typer.Option("--name", help="A name to find the job by.")] = None,
    project: Annotated[str | None, typer.Option("--project", help="The job's project: its name or id.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="What it is told apart by; repeat it.")
    ] = None,
    contract: orders.ContractId = None,
    queue: Queue = None,
    max_cost: orders.MaxCost = None,
    gpus: orders.Gpus = None,
    gpu_type: GpuTypes = None,
    prefer: Prefer = Preference.CHEAPEST,
    finish_by: FinishBy = None,
    skip_bad_rows: orders.SkipBadRows = False,
    compare: orders.Compare = False,
    tracker: Annotated[
        str | None, typer.Option("--tracker", metavar="SECRET", help="A tracker of yours that the job tells.")
    ] = None,
    tracker_project: Annotated[str | None, typer.Option(help="The project, or experiment, there.")] = None,
    customer: Customer = None,
    yes: SubmitAtOnce = False,
    watching: Watch = False,
    dry_run: DryRun = False,
    require: gate.Require = None,
    promote: gate.Promote = None,
    reason: gate.Reason = None,
    live_within: gate.LiveWithin = gate.USUALLY_LIVE_WITHIN,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Upload data, show what is wrong with them and what the job will cost, and submit it once you have said yes."""
    labels, passes = read_labels(label or []), gate.Gate.read(require, promote, reason, live_within)
    order = Order(
        config,
        data,
        dataset,
        quote,
        contract,
        orders.check_max_cost(max_cost),
        customer,
        skip_bad_rows,
        gpus,
        template,
        changes or [],
    )
    console = make_console(stderr=as_json)
    with connect(url, key) as client:
        project_id = None if project is None else find_project(client, project, customer)
        offered = _take_quote(client, order, project_id, console)
        pays = orders.choose_contract(client, offered["customer_id"], contract)
        offer = _show_price(client, offered, pays, order, console, compare=compare)
        if dry_run:
            _tell_dry_run(offer, as_json=as_json)
            return
        ask("\n".join(fold(make_question(offer), console.width - 8)), yes=yes)
        told = None if tracker is None else {"secret": tracker, "project": tracker_project}
        job = client.submit_job(
            offered["config"] if order.template is None else order.read_settings(),
            offered["dataset_id"],
            template=order.template,
            quote_id=offered["id"],
            contract_id=pays["id"] if pays else None,
            name=name,
            project_id=project_id,
            tracker=told,
            labels=labels or None,
            queue=queue,
            max_cost=order.max_cost,
            gpu_types=gpu_type,
            prefer=prefer.value,
            finish_by=finish_by,
            customer_id=customer,
        )
        _tell(job, console)
        if watching or passes.waits:
            watch(client, job["id"], as_json=as_json)
            passes.pass_through(client, job["id"], console)
        elif as_json:
            write_json(job)


def _take_quote(client: BrokerClient, order: Order, project_id: str | None, console: Console) -> Quote:
    """Get the quote that is named, or one for the data, whose findings are shown first.

    Raises: typer.BadParameter, CommandFailed, ApiError, NotReachable.
    """
    if order.quote is not None:
        return client.get_quote(order.quote)
    settings = order.read_settings()
    dataset = orders.take_dataset(client, order.data, order.dataset, order.customer, console)
    orders.show_findings(dataset, settings, console)
    pays = orders.choose_contract(client, dataset["customer_id"], order.contract)
    return orders.ask_for_quote(
        client, settings, dataset, pays, order.max_cost, console, project_id, order.gpus, order.template
    )


def _show_price(
    client: BrokerClient,
    quote: Quote,
    pays: Contract | None,
    order: Order,
    console: Console,
    *,
    compare: bool,
) -> Offer:
    """Show the price and what is reserved. Raises: CommandFailed, where nobody could pay."""
    offer = orders.make_offer_for(client, quote, pays, order.max_cost)
    write_lines(console, make_offer(offer, datetime.now(UTC), console.width, compare=compare))
    if pays is None:
        told = say("no contract is in force that could pay for it; ask for one, then submit")
        raise CommandFailed(told, kind=NOTHING_PAYS, quote_id=quote["id"])
    return offer


def _tell_dry_run(offer: Offer, *, as_json: bool) -> None:
    """Tell what would be submitted: the quote as JSON, or by which command."""
    told = say("Nothing was submitted. Submit it: broker submit --quote {quote}", quote=offer.quote["id"])
    write_answer(offer.quote, told, as_json=as_json)


def _tell(job: Job, console: Console) -> None:
    told = "Submitted {job} to queue {queue}. Follow it: broker jobs watch {job}"
    console.print(say(told, job=job["id"], queue=job["queue"]), soft_wrap=True)
