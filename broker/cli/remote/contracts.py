"""`broker contracts` and `broker balance`: what was signed, and what is left of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import typer
from rich.text import Text

from broker.cli.output import make_console, write_json, write_lines
from broker.cli.remote import contract_quotas
from broker.cli.remote.completing import complete_ids
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.contract_changes import add_to
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.orders import choose_contract
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import describe_count, describe_local, describe_money
from broker.cli.words import say, translate
from broker.client.objects.contracts import Balance, Contract, GuaranteedGpus
from broker.client.objects.values import Money

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Contracts: list, show, change, end.")
add_to(app)
app.add_typer(contract_quotas.app, name="quota")

ContractId = Annotated[
    str,
    typer.Argument(
        metavar="CONTRACT", help="The contract's id, or the beginning of it.", autocompletion=complete_ids("con")
    ),
]
COLUMNS = (
    Column("contract"),
    Column("plan"),
    Column("yuan/GPU-hour", right=True),
    Column("yuan/token", right=True),
    Column("until", right=True),
)

AT_QUOTE = {"cap": "a job goes on, and you are charged no more", "pause": "a job pauses"}
TRUE_UPS = {"at_end": "charged at the end of the term", "yearly": "charged at the end of each year"}
BEYOND_HOURS = {"block": "none", "contract": "at these prices", "on_demand": "at on-demand prices"}


@app.command("list")
def list_contracts(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the contracts, with their prices."""
    with connect(url, key) as client:
        contracts = collect_page(client.list_all("/contracts"))
    write_table(contracts, COLUMNS, _make_row, as_json=as_json)


def _make_row(contract: Contract) -> list[str]:
    until = say("no end") if contract["ends_at"] is None else contract["ends_at"][:10]
    if contract["status"] == "cancelled":
        until = translate("cancelled")
    return [contract["id"], contract["plan"], contract["gpu_hour_price"], contract["token_price"], until]


@app.command("show")
def show_contract(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show a contract with what is left of it."""
    with connect(url, key) as client:
        contract = client.get_contract(resolve_id(client, "con", contract_id))
        if as_json:
            write_json(contract)
            return
        balance = client.get_balance(contract["id"])
    console = make_console()
    rows = [*_tell_terms(contract), *_tell_balance(contract, balance)]
    write_lines(console, [Text(contract["id"], "bold"), *make_card(rows, console.width)])


@app.command("balance")
def show_balance(
    contract_id: Annotated[
        str | None, typer.Argument(metavar="[CONTRACT]", help="Needed only where several are in force.")
    ] = None,
    customer: Customer = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what of a contract is available, held by live jobs, and used."""
    with connect(url, key) as client:
        own = client.whoami()["customer"] if customer is None and contract_id is None else None
        whose = customer or (own["id"] if own else None)
        if contract_id is None and whose is None:
            raise typer.BadParameter(say("name the contract, or the customer by --customer"), param_hint="CONTRACT")
        contract = choose_contract(client, whose or "", contract_id)
        if contract is None:
            raise typer.BadParameter(say("no contract is in force; name one that is over"), param_hint="CONTRACT")
        balance = client.get_balance(contract["id"])
    if as_json:
        write_json(balance)
        return
    console = make_console()
    title = Text(contract["id"], "bold").append(f"  {contract['plan']}, {balance['month']}", "")
    write_lines(console, [title, *make_card(_tell_balance(contract, balance), console.width)])


def _tell_volume(gpu_hours: str, tokens: int) -> str:
    return say("{hours} GPU-hours", hours=gpu_hours) + f", {describe_count(tokens, 'token')}"


def _tell_budget(left: Money | None, budget: Money | None) -> str:
    told = "{left} of {all} left this month"
    return say(told, left=describe_money(left), all=describe_money(budget)) if left and budget else ""


def _tell_terms(contract: Contract) -> list[tuple[str, str]]:
    now = datetime.now(UTC)
    start = describe_local(contract["starts_at"], now)
    end = describe_local(contract["ends_at"], now) if contract["ends_at"] else say("no end")
    card = say("of rate card {version}", version=contract["rate_card_version"]) + (
        say(", then of newer ones") if contract["rate_card"] == "newest" else ""
    )
    return [
        ("Number", contract["contract_number"]),
        ("Status", contract["status"]),
        ("Plan", contract["plan"]),
        (
            "Prices",
            say(
                "{hour} yuan a GPU-hour, {token} yuan a token, {card}",
                hour=contract["gpu_hour_price"],
                token=contract["token_price"],
                card=card,
            ),
        ),
        ("In force", say("{begin} to {end}", begin=start, end=end)),
        ("Queue", contract["queue"]),
        ("At its quote", translate(AT_QUOTE[contract["quote_guarantee"]])),
        ("Guaranteed", "; ".join(map(_tell_guaranteed, contract.get("guaranteed_gpus", [])))),
        ("Unused hours", translate(TRUE_UPS[contract["true_up"]]) if contract["plan"] == "long_term" else ""),
        ("Beyond hours", translate(BEYOND_HOURS.get(contract["overage"], contract["overage"]))),
    ]


def _tell_guaranteed(each: GuaranteedGpus) -> str:
    return say(
        "{gpus} {type} at {price} a month each",
        gpus=each["gpus"],
        type=each["gpu_type"],
        price=describe_money(each["monthly_price"]),
    )


def _tell_balance(contract: Contract, balance: Balance) -> list[tuple[str, str]]:
    bought = Decimal(balance["granted_gpu_hours"]) or contract["committed_gpu_hours"]
    share = "{left} of {all} GPU-hours"
    available = say(share, left=balance["available_gpu_hours"], all=balance["granted_gpu_hours"])
    held = _tell_volume(balance["held_gpu_hours"], balance["held_tokens"])
    used = _tell_volume(balance["used_gpu_hours"], balance["used_tokens"])
    left, budget = balance["budget_left"], balance["monthly_budget"]
    granted_tokens = balance.get("granted_tokens", 0)  # a broker of before tells none
    kept = f"{balance['available_tokens']:,}"
    tokens = say("{left} of {all} tokens", left=kept, all=f"{granted_tokens:,}") if granted_tokens else ""
    return [
        ("Available", ", ".join(filter(None, (available if bought else "", tokens)))),
        ("Held by jobs", f"{held}, " + say("{sum} to be invoiced", sum=describe_money(balance["held_money"]))),
        ("Used", f"{used}, " + say("{sum} to be invoiced", sum=describe_money(balance["used_money"]))),
        ("Budget", _tell_budget(left, budget)),
    ]
