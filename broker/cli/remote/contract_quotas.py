"""`broker contracts quota show|set`: what a contract is due beside others, and how much of it may run at one time."""

from typing import Annotated, Any

import typer

from broker.cli.output import make_console, one_line, write_json
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.operations.changes import read_numbers, write_changed
from broker.cli.texts.operations import describe_quota
from broker.cli.words import say
from broker.client.objects.contracts import ContractQuota

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What a contract is due, and may run at one time: show, set."
)

ContractId = Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract's id, or the beginning of it.")]


@app.command("show")
def show_quota(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show a contract's weight, and how many jobs and GPUs of it may run at one time."""
    with connect(url, key) as client:
        quota = client.get_quota(resolve_id(client, "con", contract_id))
    if as_json:
        write_json(quota)
    else:
        make_console().print(_tell(quota), soft_wrap=True)


@app.command("set")
def set_quota(
    contract_id: ContractId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; its customer reads it.")],
    weight: Annotated[int | None, typer.Option(help="In hundredths: 200 is due twice as much as 100.")] = None,
    max_jobs: Annotated[str | None, typer.Option(metavar="N|none", help="Most jobs that run at one time.")] = None,
    max_gpus: Annotated[str | None, typer.Option(metavar="N|none", help="Most GPUs held at one time.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Set what a contract is due and may run, from the next cycle on (ops); `broker audit undo` takes it back.

    Where more runs than a lowered quota allows, the runs that began last save and wait again.
    """
    changes: dict[str, Any] = {} if weight is None else {"weight": weight}
    changes |= read_numbers({"max_jobs": max_jobs, "max_gpus": max_gpus})
    if not changes:
        raise typer.BadParameter(say("say what to set, such as --max-gpus 8"), param_hint="CONTRACT")
    with connect(url, key) as client:
        quota = client.change_quota(resolve_id(client, "con", contract_id), {**changes, "reason": reason})
    write_changed(quota, _tell(quota), as_json=as_json)


def _tell(quota: ContractQuota) -> str:
    why = f" ({one_line(quota['reason'])})" if quota["reason"] else ""
    return say(
        "{contract}: weight {weight}, at one time: {quota}{why}.",
        contract=quota["contract_id"],
        weight=quota["weight"],
        quota=describe_quota(quota),
        why=why,
    )
