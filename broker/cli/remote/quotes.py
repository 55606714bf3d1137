"""`broker quotes`: what a job will cost, before it is submitted."""

import shlex
from datetime import UTC, datetime
from typing import Annotated

import typer

from broker.cli.output import make_console, write_json, write_lines
from broker.cli.remote import orders
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.projects import find_project
from broker.cli.remote.templates import read_settings
from broker.cli.texts.price import Offer, make_offer
from broker.cli.words import say

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Quotes: what a job will cost, before you submit it."
)


@app.command("create")
def create_quote(
    config: orders.ConfigOrTemplate = None,
    template: orders.Template = None,
    changes: orders.Changes = None,
    data: orders.Data = None,
    dataset: orders.DatasetId = None,
    contract: orders.ContractId = None,
    project: Annotated[str | None, typer.Option("--project", help="The job's project: its name or id.")] = None,
    max_cost: orders.MaxCost = None,
    gpus: orders.Gpus = None,
    skip_bad_rows: orders.SkipBadRows = False,
    compare: orders.Compare = False,
    customer: Customer = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Upload data, show what is wrong with them and what a job on them will cost. Nothing is reserved."""
    sum_in_yuan = orders.check_max_cost(max_cost)
    settings = read_settings(config, template, changes or [], skip_bad_rows=skip_bad_rows)
    console = make_console(stderr=as_json)
    with connect(url, key) as client:
        found = orders.take_dataset(client, data, dataset, customer, console)
        orders.show_findings(found, settings, console)
        pays = orders.choose_contract(client, found["customer_id"], contract)
        project_id = None if project is None else find_project(client, project, customer)
        quote = orders.ask_for_quote(client, settings, found, pays, sum_in_yuan, console, project_id, gpus, template)
        offer = orders.make_offer_for(client, quote, pays, sum_in_yuan)
    kept = [] if template is None else ["--template", template, *(f"--set={each}" for each in changes or [])]
    _tell(offer, kept, compare=compare, as_json=as_json)


@app.command("show")
def show_quote(
    quote_id: Annotated[str, typer.Argument(metavar="QUOTE", help="The quote's id.")],
    compare: orders.Compare = False,
    contract: orders.ContractId = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show a quote again."""
    with connect(url, key) as client:
        quote = client.get_quote(quote_id)
        pays = orders.choose_contract(client, quote["customer_id"], contract)
        offer = orders.make_offer_for(client, quote, pays, None)
    _tell(offer, [], compare=compare, as_json=as_json)


def _tell(offer: Offer, kept: list[str], *, compare: bool, as_json: bool) -> None:
    if as_json:
        write_json(offer.quote)
        return
    console = make_console()
    write_lines(console, make_offer(offer, datetime.now(UTC), console.width, compare=compare))
    quote = shlex.join([offer.quote["id"], *kept])  # the template goes on the job's record, too
    console.print(say("Submit it: broker submit --quote {quote}", quote=quote), soft_wrap=True, markup=False)
