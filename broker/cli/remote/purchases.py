"""`broker purchases`: hours and tokens ordered under a contract, to be paid before they can be used."""

from typing import Annotated

import typer
from rich.text import Text

from broker.cli.output import ConfirmAtOnce, ask, make_console, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.projects import find_project
from broker.cli.remote.volumes import (
    Hours,
    ProjectScope,
    Tokens,
    TypeScope,
    describe_scope,
    describe_volume,
    read_scope,
    read_volume,
)
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import describe_money
from broker.cli.words import say
from broker.client.objects.contracts import Purchase
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Purchases of hours and tokens: list, order, cancel, pay."
)

PurchaseId = Annotated[str, typer.Argument(metavar="PURCHASE", help="The order's id, or the beginning of it.")]
COLUMNS = (
    Column("purchase"),
    Column("status"),
    Column("volume", right=True),
    Column("total", right=True),
    Column("pay until", right=True),
)


@app.command("list")
def list_purchases(
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    status: Annotated[str | None, typer.Option(help="open, paid, cancelled or expired.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List orders, the newest first."""
    with connect(url, key) as client:
        contract_id = None if contract is None else resolve_id(client, "con", contract)
        orders = collect_page(client.list_all("/purchases", contract_id=contract_id, status=status))
    write_table(orders, COLUMNS, _make_row, as_json=as_json)


def _make_row(order: Purchase) -> list[str]:
    until = order["expires_at"][:10] if order["status"] == "open" else ""
    return [order["id"], order["status"], describe_volume(order), describe_money(order["total"]), until]


@app.command("show")
def show_purchase(purchase_id: PurchaseId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one order: what it is of, what it costs, and the invoice to be paid."""
    with connect(url, key) as client:
        order: Purchase = client.get(f"/purchases/{_resolve(client, purchase_id)}")
    if as_json:
        write_json(order)
        return
    console = make_console()
    rows = [
        ("Contract", order["contract_id"]),
        ("Status", order["status"] + (say(", by automatic top-up") if order["automatic"] else "")),
        ("Volume", say("{volume} at {unit_price} yuan", volume=describe_volume(order), unit_price=order["unit_price"])),
        ("Pays for", describe_scope(order["scope"])),
        ("Total", describe_money(order["total"])),
        ("Invoice", order["invoice_id"]),
        ("Grant", order["grant_id"]),
        ("Pay until", order["expires_at"][:16]),
    ]
    write_lines(console, [Text(order["id"], "bold"), *make_card(rows, console.width)])


@app.command("create")
def create_purchase(
    contract: Annotated[str, typer.Option("--contract", help="The contract, which gives the price.")],
    hours: Hours = None,
    tokens: Tokens = None,
    project: ProjectScope = None,
    gpu_type: TypeScope = None,
    term_months: Annotated[int, typer.Option("--months", help="It expires so many months after it begins.")] = 12,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Order hours or tokens at the contract's price; they can be used once the invoice is paid."""
    volume = read_volume(hours, tokens)
    with connect(url, key) as client:
        contract_id = resolve_id(client, "con", contract)
        project_id = None if project is None else find_project(client, project)
        told = say("{hours} GPU-hours", hours=hours) if tokens is None else say("{tokens} tokens", tokens=f"{tokens:,}")
        ask(say("Order {told} under {contract}?", told=told, contract=contract_id), yes=yes)
        body = {"contract_id": contract_id, "term_months": term_months, **volume, **read_scope(project_id, gpu_type)}
        order = client.post("/purchases", body)
    until = order["expires_at"][:16]
    told = say(
        "{id}: {total}, invoice {invoice}, to be paid until {until}.",
        id=order["id"],
        total=describe_money(order["total"]),
        invoice=order["invoice_id"],
        until=until,
    )
    write_answer(order, told, as_json=as_json)


@app.command("cancel")
def cancel_purchase(purchase_id: PurchaseId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Cancel an order that is not paid, and its invoice with it."""
    with connect(url, key) as client:
        order = client.post(f"/purchases/{_resolve(client, purchase_id)}/cancel")
    write_answer(order, say("{id} is {status}.", id=order["id"], status=order["status"]), as_json=as_json)


@app.command("pay")
def pay_purchase(
    purchase_id: PurchaseId,
    from_credit: Annotated[bool, typer.Option("--from-credit", help="By the customer's credit.")] = False,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Note that the money of an order has come, or take it from the customer's credit (finance)."""
    with connect(url, key) as client:
        order: Purchase = client.get(f"/purchases/{_resolve(client, purchase_id)}")
        how = say("by the customer's credit") if from_credit else say("by money that has come")
        ask(say("Pay {total} for {id} {how}?", total=describe_money(order["total"]), id=order["id"], how=how), yes=yes)
        client.post(f"/invoices/{order['invoice_id']}/pay", {"from_credit": from_credit})
        order = client.get(f"/purchases/{order['id']}")
    kept = "" if order["status"] == "paid" else say(": the money is kept as the customer's credit")
    write_answer(
        order, say("{id} is {status}{kept}.", id=order["id"], status=order["status"], kept=kept), as_json=as_json
    )


def _resolve(client: BrokerClient, purchase_id: str) -> str:
    return resolve_id(client, "pur", purchase_id)
