"""`broker arrears`: who is behind with paying, how one customer stands, time that finance gives."""

from typing import Annotated

import typer

from broker.cli.output import make_console, one_line, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column, make_card
from broker.cli.words import say, translate
from broker.client.objects.arrears import Arrears, ArrearsWithHistory, CustomerArrears
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Arrears (欠费): who is behind with paying; give time."
)

COLUMNS = (
    Column("contract"),
    Column("customer"),
    Column("state"),
    Column("since", right=True),
    Column("until", right=True),
    Column("owed", right=True),
    Column("invoices"),
)


@app.command("list")
def list_arrears(
    state: Annotated[
        str | None, typer.Option(help="current, grace, suspended, retention or closed; default: all but current.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the contracts that are in arrears, the newest first."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/arrears", state=state))
    if state is None:
        page["data"] = [each for each in page["data"] if each["state"] != "current"]
    write_table(page, COLUMNS, _make_row, as_json=as_json)


def _make_row(arrears: Arrears) -> list[str]:
    invoices = ", ".join(debt["number"] or say("money below zero") for debt in arrears["debts"])
    days = [arrears["since"] or "", arrears["until"] or ""]
    names = [arrears["contract_id"], arrears["customer_id"], arrears["state"]]
    return [*names, *days, arrears["owed"]["amount"], invoices]


@app.command("show")
def show_arrears(
    customer: Annotated[
        str | None, typer.Argument(metavar="CUSTOMER", help="The customer's id; a customer sees its own.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show how a customer stands: what is overdue, how to pay it, what each contract may do."""
    with connect(url, key) as client:
        stands = client.get_arrears(customer or _find_own(client))
    if as_json:
        write_json(stands)
        return
    console = make_console()
    write_lines(console, make_card(_describe(stands), console.width))
    for each in stands["contracts"]:
        console.print()
        write_lines(console, make_card(_describe_contract(each), console.width))


def _find_own(client: BrokerClient) -> str:
    customer = client.whoami()["customer"]
    if customer is None:
        raise typer.BadParameter(say("this is a key of staff: name a customer"), param_hint="CUSTOMER")
    return customer["id"]


def _describe(stands: CustomerArrears) -> list[tuple[str, str]]:
    pay_to = stands["pay_to"]
    return [
        ("Customer", stands["customer_id"]),
        ("State", stands["state"]),
        ("Overdue", f"{stands['owed']['amount']} {stands['owed']['currency']}"),
        ("Pay to", one_line(", ".join(part for part in (pay_to["name"], pay_to["bank"], pay_to["account"]) if part))),
        ("References", ", ".join(pay_to["references"])),
    ]


def _describe_contract(arrears: ArrearsWithHistory) -> list[tuple[str, str]]:
    allowed = arrears["allowed"]
    until = "" if arrears["until"] is None else say(" until {until}", until=arrears["until"])
    debts = [f"{debt['number'] or say('money below zero')} {debt['amount']['amount']}" for debt in arrears["debts"]]
    given = [
        say("until {until} ({reason})", until=each["until"], reason=one_line(each["reason"]))
        for each in arrears["extensions"]
    ]
    deletion = _describe_deletion(allowed["data"], arrears["deletion_on"])
    return [
        ("Contract", arrears["contract_id"]),
        ("State", f"{arrears['state']}{until}"),
        ("Overdue", ", ".join(debts)),
        (
            "Jobs",
            say(
                "taken: {taken}; running: {running}",
                taken=_spell(allowed["submit"]),
                running=_spell(allowed["running"]),
            ),
        ),
        ("Data", f"{_spell(allowed['data'])}{deletion}"),
        ("Time given", ", ".join(given)),
    ]


def _spell(word: str) -> str:
    return translate(word.replace("_", " "))


def _describe_deletion(data: str, day: str | None) -> str:
    """Describe when data will be deleted: said already, or to be."""
    if day is None:
        return ""
    return say(" for {day}", day=day) if data == "deletion_announced" else say(", announced for {day}", day=day)


@app.command("extend")
def extend_arrears(
    contract: Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract's id, or the beginning of it.")],
    until: Annotated[str, typer.Option("--until", help="The last day that it has, as 2026-12-15.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    promised: Annotated[bool, typer.Option("--promised", help="The customer has promised to pay.")] = False,
    shorten: Annotated[bool, typer.Option("--shorten", help="End the time that was given on that day.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Give a contract in arrears time: until the end of that day it is no worse than in grace."""
    with connect(url, key) as client:
        contract_id = resolve_id(client, "con", contract)
        kind = "shortened" if shorten else "promise_to_pay" if promised else "extension"
        arrears = client.extend_arrears(contract_id, until=until, reason=reason, kind=kind)
    if as_json:
        write_json(arrears)
        return
    console = make_console()
    write_lines(console, make_card(_describe_contract(arrears), console.width))
