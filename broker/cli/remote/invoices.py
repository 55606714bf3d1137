"""`broker invoices`: listed, shown, downloaded as documents, and proven offline by their evidence."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.failures import CommandFailed
from broker.cli.output import ConfirmAtOnce, ask, make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import find_invoice, resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column, make_card, make_table
from broker.cli.texts.values import describe_count, describe_money
from broker.cli.words import say
from broker.client.typed import BrokerClient
from pricing.evidence.verify import Verdict, verify_evidence
from pricing.rate_card import RateCard, RateCardInvalid, load_rate_cards, parse_rate_card

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Invoices: list, show, download, pay, remind, void, verify."
)

InvoiceId = Annotated[
    str, typer.Argument(metavar="INVOICE", help="The invoice's number, its id, or the beginning of that.")
]
COLUMNS = (
    Column("invoice"),
    Column("number"),
    Column("month"),
    Column("status"),
    Column("total", right=True),
    Column("due", right=True),
    Column("until", right=True),
)
LINE_COLUMNS = (
    Column("", right=True),
    Column("kind"),
    Column("quantity", right=True),
    Column("price", right=True),
    Column("amount", right=True),
    Column("what for"),
)
MOST_FAULTS = 20
PROVEN = (
    "{number}: {total} is proven by {lines} lines, {charges} charges and {intervals} intervals.\n"
    "Seal {seal}: compare it with the one on the invoice, or give it as --seal."
)


@app.command("list")
def list_invoices(
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    contract_number: Annotated[str | None, typer.Option(help="Only of contracts with this number.")] = None,
    month: Annotated[str | None, typer.Option(help="Only of this billing month, such as 2026-11.")] = None,
    status: Annotated[str | None, typer.Option(help="draft, open, partly_paid, paid, void or written_off.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List invoices, the newest first."""
    with connect(url, key) as client:
        contract_id = None if contract is None else resolve_id(client, "con", contract)
        wanted = {"contract_number": contract_number, "month": month, "status": status}
        invoices = collect_page(client.list_all("/invoices", contract_id=contract_id, **wanted))
    write_table(invoices, COLUMNS, _make_row, as_json=as_json)


def _make_row(invoice: dict[str, Any]) -> list[str]:
    amounts = [invoice["total"]["amount"], invoice["due"]["amount"]]
    number, until = invoice["number"] or "", invoice["due_on"] or ""
    return [invoice["id"], number, invoice["month"] or say("in advance"), invoice["status"], *amounts, until]


@app.command("show")
def show_invoice(invoice_id: InvoiceId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one invoice with its lines."""
    with connect(url, key) as client:
        invoice = client.get(f"/invoices/{_resolve(client, invoice_id)}")
    if as_json:
        write_json(invoice)
        return
    console = make_console()
    write_lines(console, [Text(invoice["number"] or invoice["id"], "bold"), *make_card(_tell(invoice), console.width)])
    write_lines(console, make_table(LINE_COLUMNS, [_make_line(line) for line in invoice["lines"]]))


def _tell_fapiao_debt(invoice: dict[str, Any]) -> str:
    debt = invoice["fapiao_debt"]
    return (
        ""
        if debt is None
        else say("{sum} more than was consumed: a red one is needed (欠票)", sum=describe_money(debt))
    )


def _tell(invoice: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            "Contract",
            say(
                "{contract}, number {number}",
                contract=invoice["contract_id"],
                number=one_line(invoice["contract_number"]),
            ),
        ),
        ("Purchase order", one_line(invoice["purchase_order"] or "")),
        ("Month", invoice["month"] or say("hours in advance")),
        ("Status", invoice["status"]),
        (
            "Total",
            say("{sum}, tax in it {tax}", sum=describe_money(invoice["total"]), tax=describe_money(invoice["tax"])),
        ),
        ("Fapiao", _tell_fapiao_debt(invoice)),
        (
            "Due",
            say(
                "{due} until {due_on}",
                due=describe_money(invoice["due"]),
                due_on=invoice["due_on"] or say("it is finalized"),
            ),
        ),
        ("Pay at", invoice["payment_url"] or ""),
    ]


def _make_line(line: dict[str, Any]) -> list[str]:
    quantity = line["gpu_hours"] or ("" if line["quantity"] is None else f"{line['quantity']:,}")
    price, amount = line["unit_price"] or "", line["amount"]["amount"]
    return [str(line["position"]), line["kind"], quantity, price, amount, one_line(line["description"])]


@app.command("download")
def download_invoice(
    invoice_id: InvoiceId,
    as_format: Annotated[str, typer.Option("--format", help="pdf, csv, xlsx, or evidence.")] = "pdf",
    language: Annotated[str, typer.Option(help="Of a PDF: zh or en.")] = "zh",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: its number.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Download a final invoice as a document, or its evidence for `broker invoices verify`."""
    if language not in {"zh", "en"}:
        raise typer.BadParameter(say("write zh or en"), param_hint="--language")
    if as_format not in FILES:
        raise typer.BadParameter(say("write one of {names}", names=", ".join(FILES)), param_hint="--format")
    path, ending = FILES[as_format]
    with connect(url, key) as client:
        invoice = client.get(f"/invoices/{_resolve(client, invoice_id)}")
        target = output or Path(f"{invoice['number'] or invoice['id']}{ending}")
        if target.exists() and not force:
            raise typer.BadParameter(
                say("{target} is there; add --force to replace it", target=target), param_hint="--output"
            )
        try:
            client.download(path.format(id=invoice["id"], language=language), target)
        except OSError as error:
            raise CommandFailed(
                say("{path} cannot be written: {why}", path=target, why=error.strerror or error)
            ) from error
    write_answer({"path": str(target), "invoice_id": invoice["id"]}, str(target), as_json=as_json)


# By format: where the API has it, and how the file's name ends.
FILES = {
    "pdf": ("/invoices/{id}?format=pdf&language={language}", ".pdf"),
    "csv": ("/invoices/{id}?format=csv", ".csv"),
    "xlsx": ("/invoices/{id}?format=xlsx", ".xlsx"),
    "evidence": ("/invoices/{id}/evidence", ".evidence.json"),
}


@app.command("pay")
def pay_invoice(
    invoice_id: InvoiceId,
    from_credit: Annotated[bool, typer.Option("--from-credit", help="By the customer's credit.")] = False,
    this_first: Annotated[bool, typer.Option("--this-first", help="Before others that are overdue.")] = False,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Mark an invoice as paid; others of its contract that are overdue are paid first (finance)."""
    with connect(url, key) as client:
        invoice = client.get(f"/invoices/{_resolve(client, invoice_id)}")
        ask(
            say(
                "Mark {number} as paid: {due}?",
                number=invoice["number"] or invoice["id"],
                due=describe_money(invoice["due"]),
            ),
            yes=yes,
        )
        wanted = {"from_credit": from_credit, "overdue_first": not this_first}
        paid = client.post(f"/invoices/{invoice['id']}/pay", wanted)
    settled = [
        say("{sum} of {number}", sum=describe_money(each["amount"]), number=each["number"] or each["invoice_id"])
        for each in paid["settled"]
    ]
    told = say(
        "Paid: {settled}. {number} is {status}.",
        settled=", ".join(settled) or say("nothing"),
        number=paid["number"] or paid["id"],
        status=paid["status"],
    )
    write_answer(paid, told, as_json=as_json)


@app.command("void")
def void_invoice(
    invoice_id: InvoiceId,
    reason: Annotated[str, typer.Option(help="Why, for the customer and the record.")],
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a final invoice void, of which nothing was paid or credited; it is for good (finance)."""
    with connect(url, key) as client:
        invoice = client.get(f"/invoices/{_resolve(client, invoice_id)}")
        ask(
            say(
                "Make {number} of {total} void?",
                number=invoice["number"] or invoice["id"],
                total=describe_money(invoice["total"]),
            ),
            yes=yes,
        )
        invoice = client.post(f"/invoices/{invoice['id']}/void", {"reason": reason})
    debt = _tell_fapiao_debt(invoice)
    told = say("{number} is void; nothing is to be paid for it.", number=invoice["number"]) + (
        say(" Fapiao: {debt}.", debt=debt) if debt else ""
    )
    write_answer(invoice, told, as_json=as_json)


@app.command("remind")
def remind_of_invoice(invoice_id: InvoiceId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Remind the customer of an overdue invoice: each of its contacts is told, at most once a day (finance)."""
    with connect(url, key) as client:
        reminder = client.post(f"/invoices/{_resolve(client, invoice_id)}/reminders")
    told = describe_count(reminder["contacts"], "contact")
    overdue = say(
        "{owed}, {days_overdue} days overdue",
        owed=describe_money(reminder["owed"]),
        days_overdue=reminder["days_overdue"],
    )
    write_answer(
        reminder,
        say("{number}: {overdue}; {told} will be told.", number=reminder["number"], overdue=overdue, told=told),
        as_json=as_json,
    )


@app.command("verify")
def verify_invoice(
    file: Annotated[Path, typer.Argument(help="The evidence: a JSON file.")],
    rate_card: Annotated[
        Path | None, typer.Option("--rate-card", help="The rate card that you know (YAML); default: those published.")
    ] = None,
    seal: Annotated[str | None, typer.Option(help="The seal that stands on the invoice.")] = None,
    as_json: AsJson = False,
) -> None:
    """Work an invoice out anew from its evidence and the rate card alone: offline, with no broker and no key.

    Whatever does not fit is named, and the exit code is 1.
    """
    try:
        verdict = verify_evidence(file.read_bytes(), known_cards=_know_cards(rate_card), seal=seal)
    except OSError as error:
        raise CommandFailed(say("{path} cannot be read: {why}", path=file, why=error.strerror or error)) from error
    if not verdict.holds:
        raise CommandFailed(_tell_faults(verdict), faults=[f"{where}: {told}" for where, told in verdict.faults])
    assert verdict.total is not None, "what holds was read"
    answer = {"number": verdict.number, "total": verdict.total.format_amount(), "seal": verdict.seal}
    told = say(
        PROVEN,
        number=verdict.number,
        total=verdict.total,
        lines=verdict.lines,
        charges=verdict.charges,
        intervals=verdict.intervals,
        seal=verdict.seal,
    )
    write_answer(answer, told, as_json=as_json)


def _know_cards(path: Path | None) -> dict[str, RateCard]:
    if path is None:
        return load_rate_cards()
    try:
        card = parse_rate_card(path.read_text(encoding="utf-8"))
    except (RateCardInvalid, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--rate-card") from error
    return load_rate_cards() | {card.version: card}


def _tell_faults(verdict: Verdict) -> str:
    shown = [f"{where}: {message}" for where, message in verdict.faults[:MOST_FAULTS]]
    more = len(verdict.faults) - len(shown)
    return "\n  ".join(
        [say("the evidence does not hold"), *shown, *([say("and {count} more", count=more)] if more else [])]
    )


def _resolve(client: BrokerClient, invoice_id: str) -> str:
    return find_invoice(client, invoice_id)
