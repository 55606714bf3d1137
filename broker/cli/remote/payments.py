"""`broker payments`: statements of the bank are imported; what matched nothing is claimed, taken back or returned."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from broker.cli.failures import CommandFailed
from broker.cli.output import ConfirmAtOnce, ask, make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import find_invoice, resolve_id
from broker.cli.remote.lists import collect_page, write_table, write_table_with_notes
from broker.cli.texts.columns import Column, make_card, make_table
from broker.cli.texts.values import describe_money
from broker.cli.words import say
from broker.client.objects.payments import Allocation, ImportedLine, Payment, PaymentDetail, PaymentImport
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Payments: import statements, list, claim, unclaim, return."
)

PaymentId = Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id, or the beginning of it.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
COLUMNS = (
    Column("payment"),
    Column("day"),
    Column("status"),
    Column("amount", right=True),
    Column("unmatched", right=True),
    Column("payer"),
)
LINE_COLUMNS = (Column("line", right=True), Column("serial"), Column("outcome"), Column("what for"))


@app.command("import")
def import_statement(
    file: Annotated[Path, typer.Argument(help="The statement, as the bank exports it: CSV.")],
    layout: Annotated[
        str | None, typer.Option("--layout", help="icbc, cmb, ccb or signed; default: recognised.")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Our account, where the file does not say it.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Import a statement of the bank: each line is kept once, booked, and pays what it matches.

    The same file can be imported again: what is known already is a duplicate.
    """
    if not file.is_file():
        raise typer.BadParameter(say("{file} is no file", file=file), param_hint="FILE")
    with connect(url, key) as client:
        try:
            imported = client.import_statement(file, layout=layout, account=account)
        except OSError as error:
            raise CommandFailed(say("{path} cannot be read: {why}", path=file, why=error.strerror or error)) from error
    if as_json:
        write_json(imported)
        return
    write_lines(make_console(), [*make_table(LINE_COLUMNS, [_make_line(line) for line in imported["lines"]])])
    make_console().print(_sum_up(imported), soft_wrap=True)


def _make_line(line: ImportedLine) -> list[str]:
    what = one_line(line["reason"]) or ", ".join(line["invoice_ids"])
    return [str(line["line"]), one_line(line["serial"]), line["outcome"], what]


def _sum_up(imported: PaymentImport) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in imported["counts"].items())
    return say(
        "{received} received; layout {layout}: {counts}.",
        received=describe_money(imported["received"]),
        layout=imported["layout"],
        counts=counts,
    )


@app.command("list")
def list_payments(
    status: Annotated[str | None, typer.Option(help="unmatched, partly_matched, matched or returned.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Only this customer's.")] = None,
    serial: Annotated[str | None, typer.Option(help="Only with this serial number.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List payments, the newest first."""
    with connect(url, key) as client:
        wanted = {"status": status, "customer_id": customer, "serial": serial}
        payments = collect_page(client.list_all("/payments", **wanted))
    write_table(payments, COLUMNS, _make_row, as_json=as_json)


def _make_row(payment: Payment) -> list[str]:
    amounts = [payment["amount"]["amount"], payment["unmatched"]["amount"]]
    return [payment["id"], payment["value_on"], payment["status"], *amounts, one_line(payment["payer_name"])]


@app.command("unmatched")
def list_unmatched(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List payments of which something has found no place yet, each with why."""
    with connect(url, key) as client:
        payments = collect_page(client.list_all("/payments/unmatched"))
    write_table_with_notes(payments, COLUMNS, _make_row, _tell_why, as_json=as_json)


def _tell_why(payment: Payment) -> str:
    remark = f" ({one_line(payment['remark'])})" if payment["remark"] else ""
    return one_line(payment["reason"]) + remark


@app.command("show")
def show_payment(payment_id: PaymentId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one payment, and what it is allocated to."""
    with connect(url, key) as client:
        payment: PaymentDetail = client.get(f"/payments/{_resolve(client, payment_id)}")
    if as_json:
        write_json(payment)
        return
    console = make_console()
    payer = " ".join(one_line(payment[name]) for name in ("payer_name", "payer_account", "payer_bank"))
    rows = [
        ("Status", payment["status"]),
        (
            "Amount",
            say(
                "{sum}, unmatched {unmatched}",
                sum=describe_money(payment["amount"]),
                unmatched=describe_money(payment["unmatched"]),
            ),
        ),
        (
            "Came",
            say("{value_on}, serial number {serial}", value_on=payment["value_on"], serial=one_line(payment["serial"])),
        ),
        ("Payer", payer.strip()),
        ("Remark", one_line(payment["remark"])),
        ("Outcome", payment["outcome"] + (f": {one_line(payment['reason'])}" if payment["reason"] else "")),
        *[("Allocated", _tell_allocation(each)) for each in payment["allocations"]],
    ]
    write_lines(console, [Text(payment["id"], "bold"), *make_card(rows, console.width)])


def _tell_allocation(each: Allocation) -> str:
    what = (
        each["invoice_id"] if each["kind"] == "invoice" else say("credit of {contract}", contract=each["contract_id"])
    )
    undone = say(", undone: {why}", why=one_line(each["undone_reason"] or "")) if each["undone_at"] else ""
    return f"{describe_money(each['amount'])} {what}{undone}"


@app.command("claim")
def claim_payment(
    payment_id: PaymentId,
    invoices: Annotated[
        list[str] | None,
        typer.Option("--invoice", help="The invoice that it pays, by number or id; or NUMBER=AMOUNT. Several times."),
    ] = None,
    credit: Annotated[
        str | None, typer.Option("--credit", help="The contract that has the rest as credit: ID, or ID=AMOUNT.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Say what a payment is for; without options it is matched as if it came now."""
    with connect(url, key) as client:
        claims = [_read_claim(client, "invoice_id", each) for each in invoices or []]
        claims += [] if credit is None else [_read_claim(client, "contract_id", credit)]
        path = f"/payments/{_resolve(client, payment_id)}/claim"
        payment: PaymentDetail = client.post(path, {"allocations": claims})
    write_answer(payment, _tell_left(payment), as_json=as_json)


def _read_claim(client: BrokerClient, name: str, typed: str) -> dict[str, str]:
    typed_id, _, amount = typed.partition("=")
    found = resolve_id(client, "con", typed_id) if name == "contract_id" else find_invoice(client, typed_id)
    return {name: found} | ({"amount": amount} if amount else {})


def _tell_left(payment: Payment) -> str:
    return say(
        "{id} is {status}; {unmatched} of it unmatched.",
        id=payment["id"],
        status=payment["status"],
        unmatched=describe_money(payment["unmatched"]),
    )


@app.command("unclaim")
def unclaim_payment(
    payment_id: PaymentId,
    reason: Why,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Take back what a payment was allocated to: its invoices are owed again (asks)."""
    with connect(url, key) as client:
        payment: PaymentDetail = client.get(f"/payments/{_resolve(client, payment_id)}")
        ask(
            say("Take back {allocated} of {id}?", allocated=describe_money(payment["allocated"]), id=payment["id"]),
            yes=yes,
        )
        payment = client.post(f"/payments/{payment['id']}/unclaim", {"reason": reason})
    write_answer(payment, _tell_left(payment), as_json=as_json)


@app.command("return")
def return_payment(
    payment_id: PaymentId,
    reason: Why,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Ask for what is unmatched of a payment to go back to its payer (asks); `broker refunds` follows it."""
    with connect(url, key) as client:
        payment: PaymentDetail = client.get(f"/payments/{_resolve(client, payment_id)}")
        ask(
            say(
                "Return {unmatched} to {payer_name}?",
                unmatched=describe_money(payment["unmatched"]),
                payer_name=one_line(payment["payer_name"]),
            ),
            yes=yes,
        )
        refund = client.post(f"/payments/{payment['id']}/return", {"reason": reason})
    told = say(
        "{id}: {sum} to account {payee_account}.",
        id=refund["id"],
        sum=describe_money(refund["amount"]),
        payee_account=one_line(refund["payee_account"]),
    )
    write_answer(refund, told, as_json=as_json)


def _resolve(client: BrokerClient, payment_id: str) -> str:
    return resolve_id(client, "pay", payment_id)
