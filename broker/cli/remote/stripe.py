"""`broker stripe`: whose invoices Stripe collects, how far each is, what differs from our books."""

from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column, make_card, make_table
from broker.cli.texts.values import describe_money
from broker.cli.words import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Stripe: whose invoices it collects, how far they are, differences.",
)

InvoiceId = Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice's id.")]
COLUMNS = (
    Column("invoice"),
    Column("at Stripe"),
    Column("status"),
    Column("asked", right=True),
    Column("remaining", right=True),
    Column("problem"),
)
STEP_COLUMNS = (Column("step"), Column("state"), Column("at Stripe"), Column("failures", right=True), Column("last"))
DIFFERENCE_COLUMNS = (Column("what"), Column("invoice"), Column("at Stripe"), Column("ours"), Column("theirs"))


@app.command("collect")
def collect_by_stripe(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
    email: Annotated[str | None, typer.Option("--email", help="Where Stripe may write to; default: nowhere.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Collect no more; what is at Stripe already stays there.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Have Stripe collect a customer's open and coming invoices."""
    with connect(url, key) as client:
        said = client.put(f"/stripe/customers/{customer}", {"collects": not off, "email": email})
    told = say(
        "{customer}: Stripe {what}.",
        customer=customer,
        what=say("collects its invoices") if said["collects"] else say("collects no more of its invoices"),
    )
    write_answer(said, told, as_json=as_json)


@app.command("list")
def list_at_stripe(
    customer: Annotated[str | None, typer.Option("--customer", help="Only this customer's.")] = None,
    status: Annotated[str | None, typer.Option(help="none, draft, open, paid, void or deleted.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the invoices that Stripe collects, the newest first."""
    with connect(url, key) as client:
        found = collect_page(client.list_all("/stripe/invoices", customer_id=customer, status=status))
    write_table(found, COLUMNS, _make_row, as_json=as_json)


def _make_row(invoice: dict[str, Any]) -> list[str]:
    sums = [invoice["asked"]["amount"], invoice["remaining"]["amount"]]
    status = invoice["status"] if invoice["settled"] else f"{invoice['status']} …"
    return [invoice["invoice_id"], invoice["stripe_id"] or "", status, *sums, one_line(invoice["problem"] or "")]


@app.command("show")
def show_at_stripe(invoice_id: InvoiceId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show how far one invoice is at Stripe, and every step that was asked of it."""
    with connect(url, key) as client:
        invoice = client.get(f"/stripe/invoices/{invoice_id}")
    if as_json:
        write_json(invoice)
        return
    console = make_console()
    card = [
        ("At Stripe", f"{invoice['stripe_id'] or say('not yet')}, {invoice['status']}"),
        (
            "Asked",
            say(
                "{asked}, of which {remaining} remain",
                asked=describe_money(invoice["asked"]),
                remaining=describe_money(invoice["remaining"]),
            ),
        ),
        ("Pay at", invoice["hosted_url"] or ""),
        ("Stands still", one_line(invoice["problem"] or "")),
    ]
    write_lines(console, [Text(invoice["invoice_id"], "bold"), *make_card(card, console.width)])
    write_lines(console, make_table(STEP_COLUMNS, [_make_step(step) for step in invoice["steps"]]))


def _make_step(step: dict[str, Any]) -> list[str]:
    last = one_line(step["last_error"] or "")
    return [step["step"], step["state"], step["stripe_id"] or "", str(step["failures"]), last]


@app.command("retry")
def retry_at_stripe(invoice_id: InvoiceId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Try again what Stripe, or our own comparison of totals, has refused; mend first what `show` says."""
    with connect(url, key) as client:
        invoice = client.post(f"/stripe/invoices/{invoice_id}/retry")
    write_answer(invoice, say("{invoice} is tried again.", invoice=invoice_id), as_json=as_json)


@app.command("reconcile")
def reconcile_with_stripe(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Compare our books with Stripe now, and list every difference with its cure."""
    with connect(url, key) as client:
        found = client.post("/stripe/reconciliation")
    if as_json:
        write_json(found)
        return
    console = make_console()
    if not found["data"]:
        write_lines(console, [Text(say("Our books and Stripe say the same."))])
        return
    write_lines(console, make_table(DIFFERENCE_COLUMNS, [_make_difference(each) for each in found["data"]]))
    cures = dict.fromkeys((each["kind"], each["cure"]) for each in found["data"])
    write_lines(console, [Text(""), *(Text(f"{kind}: {cure}") for kind, cure in cures)])


def _make_difference(each: dict[str, Any]) -> list[str]:
    return [each["kind"], each["invoice_id"] or "", each["stripe_id"] or "", one_line(each["ours"]), each["theirs"]]
