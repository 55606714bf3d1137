"""`broker top-ups`: contracts that order more hours by themselves, below how many free ones."""

from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import ConfirmAtOnce, ask, make_console, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column, make_card
from broker.cli.words import say
from broker.client.objects.contracts import TopUp

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Automatic top-ups: list, show, set, remove.")

ContractId = Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract's id, or the beginning of it.")]
COLUMNS = (
    Column("contract"),
    Column("below", right=True),
    Column("orders", right=True),
    Column("free", right=True),
    Column("due"),
    Column("open order"),
)


@app.command("list")
def list_top_ups(
    customer: Annotated[str | None, typer.Option("--customer", help="Only this customer's.")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the contracts that order more by themselves, with what is free and the order that waits to be paid."""
    with connect(url, key) as client:
        contract_id = None if contract is None else resolve_id(client, "con", contract)
        rules = collect_page(client.list_all("/top-ups", customer_id=customer, contract_id=contract_id))
    write_table(rules, COLUMNS, _make_row, as_json=as_json)


def _make_row(rule: TopUp) -> list[str]:
    sizes = [f"{rule['threshold_gpu_hours']} h", f"{rule['purchase_gpu_hours']} h", f"{rule['free_gpu_hours']} h"]
    return [rule["contract_id"], *sizes, say("yes") if rule["is_due"] else say("no"), rule["open_purchase_id"] or ""]


@app.command("show")
def show_top_up(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show when a contract orders more by itself, what is free now, and the order that waits to be paid."""
    with connect(url, key) as client:
        whole = resolve_id(client, "con", contract_id)
        asked: Any = client.get(f"/contracts/{whole}/top-up")
        rule: TopUp = next(iter(client.list_all("/top-ups", contract_id=whole)), asked)
    if as_json:
        write_json(rule)
        return
    console = make_console()
    rows = [
        (
            "Orders",
            say(
                "{hours} GPU-hours, below {below} free",
                hours=rule["purchase_gpu_hours"],
                below=rule["threshold_gpu_hours"],
            ),
        ),
        (
            "Free",
            say("{hours} GPU-hours", hours=rule["free_gpu_hours"]) + (say(": more is due") if rule["is_due"] else ""),
        ),
        ("Open order", rule["open_purchase_id"] or say("none")),
        ("Customer", rule["customer_id"]),
    ]
    write_lines(console, [Text(rule["contract_id"], "bold"), *make_card(rows, console.width)])


@app.command("set")
def set_top_up(
    contract_id: ContractId,
    below: Annotated[int, typer.Option("--below", metavar="HOURS", min=1, help="Order below so many free GPU-hours.")],
    hours: Annotated[int, typer.Option("--hours", metavar="HOURS", min=1, help="So many GPU-hours at a time.")],
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Let a contract order more by itself: one order at a time, paid as any other. It replaces an earlier rule."""
    with connect(url, key) as client:
        whole = resolve_id(client, "con", contract_id)
        ask(
            say(
                "Let {id} order {hours} GPU-hours whenever fewer than {below} are free?",
                id=whole,
                hours=hours,
                below=below,
            ),
            yes=yes,
        )
        rule = client.post(f"/contracts/{whole}/top-up", {"threshold_gpu_hours": below, "purchase_gpu_hours": hours})
    told = say(
        "{id} orders {hours} GPU-hours below {below} free ones.",
        id=whole,
        hours=rule["purchase_gpu_hours"],
        below=rule["threshold_gpu_hours"],
    )
    write_answer(rule, told, as_json=as_json)


@app.command("remove")
def remove_top_up(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Let a contract order nothing more by itself; what it has ordered stays."""
    with connect(url, key) as client:
        whole = resolve_id(client, "con", contract_id)
        rule = client.delete(f"/contracts/{whole}/top-up")
    write_answer(rule, say("{id} orders nothing more by itself.", id=whole), as_json=as_json)
