"""`broker fapiao`: tax documents, requested by customers, issued and taken back by finance."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import ConfirmAtOnce, ask, make_console, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import describe_money
from broker.cli.words import say
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Fapiao (发票): list, show, request, issue, take back, upload, download.",
)

FapiaoId = Annotated[str, typer.Argument(metavar="FAPIAO", help="The fapiao's id, or its number of 20 digits.")]
OfCustomer = Annotated[str | None, typer.Option("--customer", help="Whose; needed with a key of staff only.")]
Number = Annotated[str, typer.Option(help="The 20 digits of the tax bureau.")]
IssuedOn = Annotated[
    datetime | None, typer.Option("--issued-on", formats=["%Y-%m-%d"], help="The day on it; default: today.")
]
COLUMNS = (
    Column("fapiao"),
    Column("number"),
    Column("kind"),
    Column("status"),
    Column("title"),
    Column("amount", right=True),
    Column("day", right=True),
)
DEBT_COLUMNS = (
    Column("customer"),
    Column("name"),
    Column("consumed", right=True),
    Column("fapiao", right=True),
    Column("red needed", right=True),
)
NUMBER_DIGITS = 20


@app.command("list")
def list_fapiao(
    customer: Annotated[str | None, typer.Option("--customer", help="Only this customer's.")] = None,
    status: Annotated[str | None, typer.Option(help="requested, issued or cancelled.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List fapiao, the newest first; with `--status requested` those that finance is to issue."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/fapiao", customer_id=customer, status=status))
    write_table(page, COLUMNS, _make_row, as_json=as_json)


def _make_row(row: dict[str, Any]) -> list[str]:
    kind = "red" if row["red_of_id"] else row["kind"]
    day, amount = row["issued_on"] or "", row["amount"]["amount"]
    return [row["id"], row["number"] or "", kind, row["status"], row["title"]["name"], amount, day]


@app.command("show")
def show_fapiao(fapiao_id: FapiaoId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one fapiao with its line."""
    with connect(url, key) as client:
        row = client.get(f"/fapiao/{_resolve(client, fapiao_id)}")
    if as_json:
        write_json(row)
        return
    console = make_console()
    write_lines(console, [Text(row["number"] or row["id"], "bold"), *make_card(_tell(row), console.width)])


def _tell(row: dict[str, Any]) -> list[tuple[str, str]]:
    (line, *_others) = row["lines"]
    return [
        ("Status", f"{row['status']}, {row['kind']}"),
        ("Title", ", ".join(each for each in row["title"].values() if each)),
        ("Amount", say("{sum}, tax in it {tax}", sum=describe_money(row["amount"]), tax=describe_money(row["tax"]))),
        ("大写", row["capitals"]),
        (
            "Line",
            say(
                "{item}, {quantity} {unit} at {unit_price}, {tax_rate} tax",
                item=line["item"],
                quantity=line["quantity"],
                unit=line["unit"],
                unit_price=line["unit_price"],
                tax_rate=line["tax_rate"],
            ),
        ),
        ("Issued on", row["issued_on"] or ""),
        (
            "Takes back",
            say("of {red_of}, reason {red_reason}", red_of=row["red_of_id"], red_reason=row["red_reason"])
            if row["red_of_id"]
            else "",
        ),
    ]


@app.command("invoiceable")
def show_invoiceable(customer: OfCustomer = None, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show how much can be asked for (可开票金额), and what needs its red fapiao (欠票)."""
    with connect(url, key) as client:
        there = client.get("/fapiao/invoiceable", customer_id=customer)
    told = say(
        "{invoiceable} can be asked for: of {consumed} consumed",
        invoiceable=describe_money(there["invoiceable"]),
        consumed=describe_money(there["consumed"]),
    )
    told += say(" fapiao are of {sum}.", sum=describe_money(there["invoiced"]))
    if there["debt"]["amount"] != "0.00":
        told += say(" {sum} more than was consumed need red fapiao first.", sum=describe_money(there["debt"]))
    write_answer(there, told, as_json=as_json)


@app.command("debts")
def list_debts(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the customers whose fapiao need red ones (欠票): something was credited after their issue (finance)."""
    with connect(url, key) as client:
        rows = client.get("/fapiao/debts")["data"]
    write_table({"data": rows, "next_cursor": None}, DEBT_COLUMNS, _make_debt_row, as_json=as_json)


def _make_debt_row(row: dict[str, Any]) -> list[str]:
    return [row["customer_id"], row["customer"], *(row[name]["amount"] for name in ("consumed", "invoiced", "debt"))]


@app.command("request")
def request_fapiao(
    name: Annotated[str, typer.Option("--title", help="To whom it is made out (抬头).")],
    customer: OfCustomer = None,
    kind: Annotated[
        str, typer.Option(help="normal (普票), or special (专票): that needs all of the title.")
    ] = "normal",
    tax_number: Annotated[str, typer.Option(help="Tax number (税号) of a company.")] = "",
    address: Annotated[str, typer.Option(help="Address (地址).")] = "",
    phone: Annotated[str, typer.Option(help="Telephone (电话).")] = "",
    bank: Annotated[str, typer.Option(help="Bank (开户行).")] = "",
    bank_account: Annotated[str, typer.Option(help="Account (账号).")] = "",
    amount: Annotated[str | None, typer.Option(help="Yuan, tax in it; default: all that can be asked for.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Request a fapiao of what was consumed; finance issues it."""
    company = {"tax_number": tax_number, "address": address, "phone": phone, "bank": bank, "bank_account": bank_account}
    told = {field: value for field, value in company.items() if value}
    body: dict[str, Any] = {"kind": kind, "title": {"name": name, **told}}
    body |= {"customer_id": customer} if customer else {}
    body |= {"amount": amount} if amount else {}
    with connect(url, key) as client:
        row = client.post("/fapiao", body)
    write_answer(
        row,
        say(
            "{id} is requested, of {sum} ({words}).",
            id=row["id"],
            sum=describe_money(row["amount"]),
            words=row["capitals"],
        ),
        as_json=as_json,
    )


@app.command("issue")
def issue_fapiao(
    fapiao_id: FapiaoId,
    number: Number,
    issued_on: IssuedOn = None,
    file: Annotated[Path | None, typer.Option(help="Its file as the tax bureau gives it: .pdf, .ofd or .xml.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tell the number under which a requested fapiao was issued, and its file (finance)."""
    with connect(url, key) as client:
        row = client.post(f"/fapiao/{fapiao_id}/issue", {"number": number, "issued_on": _read_day(issued_on)})
        if file is not None:
            _upload(client, row["id"], file)
    write_answer(row, say("{id} is issued as {number}.", id=row["id"], number=row["number"]), as_json=as_json)


@app.command("red")
def take_back(
    fapiao_id: FapiaoId,
    number: Number,
    reason: Annotated[str, typer.Option(help="01 wrongly issued, 02 returned, 03 service ended, 04 discount.")],
    issued_on: IssuedOn = None,
    amount: Annotated[str | None, typer.Option(help="Yuan, tax in it; default: all that is left of it.")] = None,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tell of a red fapiao (红字), which takes back a part of an issued one or all (finance)."""
    body = {"number": number, "issued_on": _read_day(issued_on), "reason": reason}
    body |= {"amount": amount} if amount else {}
    with connect(url, key) as client:
        row = client.get(f"/fapiao/{_resolve(client, fapiao_id)}")
        ask(
            say(
                "Take back {amount} of fapiao {number}, {sum}?",
                amount=amount or say("all that is left"),
                number=row["number"],
                sum=describe_money(row["amount"]),
            ),
            yes=yes,
        )
        red = client.post(f"/fapiao/{row['id']}/red", body)
    write_answer(
        red,
        say(
            "{red} takes back {sum} of {number}.",
            red=red["number"],
            sum=describe_money(red["amount"]),
            number=row["number"],
        ),
        as_json=as_json,
    )


@app.command("cancel")
def cancel_fapiao(fapiao_id: FapiaoId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Cancel a request that was not issued."""
    with connect(url, key) as client:
        row = client.post(f"/fapiao/{fapiao_id}/cancel")
    write_answer(row, say("{id} is cancelled.", id=row["id"]), as_json=as_json)


@app.command("upload")
def upload_file(
    fapiao_id: FapiaoId,
    file: Annotated[Path, typer.Argument(help="Its file: .pdf, .ofd or .xml; one of each.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Upload the file of an issued fapiao (finance)."""
    with connect(url, key) as client:
        row = _upload(client, _resolve(client, fapiao_id), file)
    write_answer(row, say("{name} is kept with {number}.", name=file.name, number=row["number"]), as_json=as_json)


def _upload(client: BrokerClient, fapiao_id: str, file: Path) -> Any:
    return client.post_files(f"/fapiao/{fapiao_id}/files", [file], {"format": file.suffix.lstrip(".")}, name="file")


@app.command("download")
def download_file(
    fapiao_id: FapiaoId,
    as_format: Annotated[str, typer.Option("--format", help="pdf, ofd or xml.")] = "pdf",
    output: Annotated[Path | None, typer.Option(help="The file to write; default: its number.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Download the file of an issued fapiao."""
    with connect(url, key) as client:
        row = client.get(f"/fapiao/{_resolve(client, fapiao_id)}")
        target = output or Path(f"{row['number'] or row['id']}.{as_format}")
        client.download(f"/fapiao/{row['id']}/file?format={as_format}", target)
    write_answer({"path": str(target), **row}, str(target), as_json=as_json)


def _read_day(given: datetime | None) -> str:
    return f"{given:%Y-%m-%d}" if given else date.today().isoformat()  # noqa: DTZ011  (the day on the paper here)


def _resolve(client: BrokerClient, typed: str) -> str:
    """Resolve the number of an issued fapiao to its id; an id stays as it is."""
    if not (typed.isdigit() and len(typed) == NUMBER_DIGITS):
        return typed
    found = client.get("/fapiao", number=typed)["data"]
    return str(found[0]["id"]) if found else typed
