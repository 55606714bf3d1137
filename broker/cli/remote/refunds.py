"""`broker refunds`: money that goes back, from its request to the bank's word."""

from typing import Annotated

import typer

from broker.cli.output import one_line, write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column
from broker.cli.texts.values import describe_money
from broker.cli.words import say
from broker.client.objects.payments import Refund

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Refunds: list, request, send, confirm, fail.")

RefundId = Annotated[str, typer.Argument(metavar="REFUND", help="The refund's id.")]
COLUMNS = (
    Column("refund"),
    Column("status"),
    Column("amount", right=True),
    Column("by"),
    Column("to"),
    Column("bank's reference"),
)


@app.command("list")
def list_refunds(
    status: Annotated[str | None, typer.Option(help="requested, sent, confirmed or failed.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List refunds, the newest first."""
    with connect(url, key) as client:
        refunds = collect_page(client.list_all("/refunds", status=status))
    write_table(refunds, COLUMNS, _make_row, as_json=as_json)


def _make_row(refund: Refund) -> list[str]:
    payee = one_line(f"{refund['payee_name']} {refund['payee_account']}")
    told = [refund["id"], refund["status"], refund["amount"]["amount"], refund["method"]]
    return [*told, payee, refund["bank_reference"] or ""]


@app.command("request")
def request_refund(
    contract: Annotated[str, typer.Option("--contract", help="Whose money it is.")],
    taken_from: Annotated[str, typer.Option("--from", help="credit, or grant: what is owed for refunded units.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    method: Annotated[str, typer.Option(help="bank_transfer, stripe or customer_credit.")] = "bank_transfer",
    amount: Annotated[str | None, typer.Option(help="Yuan; default: all that there is.")] = None,
    payee: Annotated[str, typer.Option(help="Whose account it goes to.")] = "",
    account: Annotated[str, typer.Option(help="The number of that account.")] = "",
    bank: Annotated[str, typer.Option(help="Its bank.")] = "",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Ask for a customer's credit, or what is owed for refunded units, to be paid back."""
    with connect(url, key) as client:
        body = {"contract_id": resolve_id(client, "con", contract), "taken_from": taken_from, "method": method}
        body |= {} if amount is None else {"amount": amount}
        told = {"name": payee, "account": account, "bank": bank}
        to = {name: value for name, value in told.items() if value}
        refund: Refund = client.post("/refunds", {**body, "reason": reason} | ({"payee": to} if to else {}))
    _tell(refund, as_json=as_json)


@app.command("send")
def send_refund(
    refund_id: RefundId,
    reference: Annotated[str, typer.Option("--reference", help="The bank's number of the transfer.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tell that a refund was sent."""
    with connect(url, key) as client:
        refund: Refund = client.post(f"/refunds/{refund_id}/send", {"bank_reference": reference})
    _tell(refund, as_json=as_json)


@app.command("confirm")
def confirm_refund(refund_id: RefundId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Tell that a refund arrived."""
    with connect(url, key) as client:
        refund: Refund = client.post(f"/refunds/{refund_id}/confirm")
    _tell(refund, as_json=as_json)


@app.command("fail")
def fail_refund(
    refund_id: RefundId,
    reason: Annotated[str, typer.Option("--reason", help="Why, as the bank says.")],
    payment: Annotated[
        str | None, typer.Option("--payment", help="The payment by which it came back (退汇), where a line brought it.")
    ] = None,
    reversed_by_bank: Annotated[
        bool, typer.Option("--reversed", help="The bank took its own line back (冲正); no other brings it.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tell that a refund was not sent, or came back, and by which payment."""
    with connect(url, key) as client:
        payment_id = None if payment is None else resolve_id(client, "pay", payment)
        body = {"reason": reason, "payment_id": payment_id, "reversed": reversed_by_bank}
        refund: Refund = client.post(f"/refunds/{refund_id}/fail", body)
    _tell(refund, as_json=as_json)


def _tell(refund: Refund, *, as_json: bool) -> None:
    told = say(
        "{id}: {sum} by {method} is {status}.",
        id=refund["id"],
        sum=describe_money(refund["amount"]),
        method=refund["method"],
        status=refund["status"],
    )
    write_answer(refund, told, as_json=as_json)
