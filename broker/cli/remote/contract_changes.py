"""`broker contracts amend|withdraw|renew|decline|end|cancel|events`: how a contract changes, ends and goes on."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import ConfirmAtOnce, ask, make_console, write_answer, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column, make_table
from broker.cli.words import say
from broker.client.typed import BrokerClient

ContractId = Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract's id, or the beginning of it.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="In effect from then on (UTC); now without it.")]
EVENT_COLUMNS = (Column("when"), Column("what"), Column("facts"))
AMENDMENT_COLUMNS = (Column("amendment"), Column("in effect from"), Column("status"), Column("changes"))
CHANGE_COLUMNS = (Column("term"), Column("before"), Column("after"))


def list_events(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List what happened to a contract, the newest first."""
    with connect(url, key) as client:
        events = collect_page(client.list_all(f"/contracts/{_resolve(client, contract_id)}/events"))
    write_table(events, EVENT_COLUMNS, _make_event_row, as_json=as_json)


def _make_event_row(event: dict[str, Any]) -> list[str]:
    return [event["created_at"][:16], event["kind"], _tell_facts(event["data"])]


def _tell_facts(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if not isinstance(value, list | dict))


def amend(
    contract_id: ContractId,
    plan: Annotated[str | None, typer.Option(help="Another plan.")] = None,
    hours: Annotated[int | None, typer.Option(help="Another volume, in GPU-hours of the whole term.")] = None,
    ends_at: Annotated[str | None, typer.Option(metavar="TIME", help="Another end (UTC).")] = None,
    overage: Annotated[str | None, typer.Option(help="on_demand, contract or block.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="YUAN", help="Another monthly budget; none: `none`.")] = None,
    number: Annotated[str | None, typer.Option(help="Another contract number.")] = None,
    guarantees: Annotated[
        list[str] | None,
        typer.Option(
            "--guarantee",
            metavar="TYPE=GPUS@PRICE",
            help="All GPUs that its own queue may always have from then on, such as rtx-4090=4@900 (yuan for one and a "
            "month); `none` gives them up. Again for each type.",
        ),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="TERM=VALUE",
            help="Any other term, by the name that the API has for it, such as payment_days=60, billing_day=15, "
            "rate_card=newest or arrears.grace_days=10; `none` gives one up. Again for each.",
        ),
    ] = None,
    unused: Annotated[str, typer.Option(help="Bought grants: carry, refund or expire.")] = "carry",
    at: At = None,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Amend a contract: it shows what is replaced and what it costs, and asks."""
    named = {
        "plan": plan,
        "committed_gpu_hours": hours,
        "ends_at": ends_at,
        "overage": overage,
        "monthly_budget": budget,
        "contract_number": number,
        "effective_at": at,
    }
    changes: dict[str, Any] = {
        name: None if value == "none" else value for name, value in named.items() if value is not None
    }
    if guarantees:
        changes["guaranteed_gpus"] = _read_guarantees(guarantees)
    changes |= {"unused_grants": unused, **_read_terms(other or [])}
    with connect(url, key) as client:
        path = f"/contracts/{_resolve(client, contract_id)}/amendments"
        shown = client.post(f"{path}/preview", changes)
        write_lines(make_console(stderr=True), _tell_preview(shown))
        ask(say("Amend the contract so?"), yes=yes)
        amended = client.post(path, {**changes, "preview": shown["preview"]})
    write_answer(
        amended,
        say("{id} takes effect at {effective_at}.", id=amended["id"], effective_at=amended["effective_at"]),
        as_json=as_json,
    )


def _read_guarantees(told: list[str]) -> list[dict[str, Any]]:
    """Read guaranteed GPUs as the API has them."""
    return [] if told == ["none"] else list(map(_read_guarantee, told))


def _read_guarantee(told: str) -> dict[str, Any]:
    found = re.fullmatch(r"([^=]+)=([0-9]+)@([0-9.]+)", told)
    if found is None:
        raise typer.BadParameter(
            say("{told} is no TYPE=GPUS@PRICE, such as rtx-4090=4@900", told=told), param_hint="--guarantee"
        )
    return {"gpu_type": found[1], "gpus": int(found[2]), "monthly_price": found[3]}


def _read_terms(told: list[str]) -> dict[str, Any]:
    """Read terms as the API has them: a name with a dot is a part of another."""
    terms: dict[str, Any] = {}
    for each in told:
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(
                say("{each} is no TERM=VALUE, such as payment_days=60", each=each), param_hint="--set"
            )
        whole, _dot, part = name.partition(".")
        read = None if value == "none" else value
        if part:
            terms.setdefault(whole, {})[part] = read
        else:
            terms[whole] = read
    return terms


def list_amendments(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the amendments of a contract, planned and withdrawn ones among them, the newest first."""
    with connect(url, key) as client:
        amendments = collect_page(client.list_all(f"/contracts/{_resolve(client, contract_id)}/amendments"))
    write_table(amendments, AMENDMENT_COLUMNS, _make_amendment_row, as_json=as_json)


def _make_amendment_row(amendment: dict[str, Any]) -> list[str]:
    return [amendment["id"], amendment["effective_at"][:16], amendment["status"], _tell_changes(amendment)]


def _tell_changes(amendment: dict[str, Any]) -> str:
    return ", ".join(f"{each['field']} {_tell_value(each['after'])}" for each in amendment["changes"])


def withdraw(
    contract_id: ContractId,
    amendment_id: Annotated[str, typer.Argument(metavar="AMENDMENT", help="The amendment's id.")],
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Withdraw an amendment before it takes effect: hours that it added go with it, paid ones are refunded."""
    withdrawn = _post(url, key, contract_id, f"amendments/{amendment_id}/withdraw", {"reason": reason})
    write_answer(withdrawn, say("{id} is withdrawn.", id=withdrawn["id"]), as_json=as_json)


def _tell_preview(shown: dict[str, Any]) -> list[Text]:
    changes = [[each["field"], _tell_value(each["before"]), _tell_value(each["after"])] for each in shown["changes"]]
    lines = make_table(CHANGE_COLUMNS, changes)
    if shown["added_gpu_hours"] != "0.0000":
        when = (
            say("invoiced now, to be paid before they can be used")
            if shown["due_now"]
            else say("invoiced as they are used")
        )
        told = say(
            "Adds {hours} GPU-hours for {amount} yuan, {when}.",
            hours=shown["added_gpu_hours"],
            amount=shown["amount"]["amount"],
            when=when,
        )
        lines.append(Text(told))
    if any(each["field"] == "committed_gpu_hours" for each in shown["changes"]):
        lines.append(
            Text(
                say(
                    "The whole term commits to {hours} GPU-hours then.",
                    hours=shown["commitment_gpu_hours"],
                )
            )
        )
    if shown["unused_grants"] and shown["unused_grants_will"] == "expire":
        lines.append(Text(say("What is unused of {count} bought grants expires.", count=len(shown["unused_grants"]))))
    if shown["unused_grants_will"] == "refund":
        lines.append(
            Text(say("What is unused of bought grants is refunded: {amount} yuan.", amount=shown["refund"]["amount"]))
        )
    return lines


def _tell_value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_tell_value, value)) or say("none")
    if isinstance(value, dict):
        return " ".join(f"{name} {part}" for name, part in value.items())
    return say("none") if value is None else str(value)


def renew(
    contract_id: ContractId,
    plan: Annotated[str | None, typer.Option(help="Another plan for the next term.")] = None,
    hours: Annotated[int | None, typer.Option(help="Another volume for it, in GPU-hours.")] = None,
    ends_at: Annotated[str | None, typer.Option(metavar="TIME", help="Another end for it (UTC).")] = None,
    true_up: Annotated[str | None, typer.Option(help="When unused hours are charged: at_end or yearly.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Sign the contract that follows one, right after its end and under its number."""
    others = {"plan": plan, "committed_gpu_hours": hours, "ends_at": ends_at, "true_up": true_up}
    body = {"renew": True, **{name: value for name, value in others.items() if value is not None}}
    following = _post(url, key, contract_id, "renewal", body)
    told = say("{id} follows from {starts_at} on.", id=following["id"], starts_at=following["starts_at"])
    if following["advance_invoice_id"]:
        told += say(" Its hours can be used once {invoice} is paid.", invoice=following["advance_invoice_id"])
    write_answer(following, told, as_json=as_json)


def decline(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Let a contract end without one that follows it."""
    contract = _post(url, key, contract_id, "renewal", {"renew": False})
    write_answer(
        contract, say("{id} ends at {ends_at}.", id=contract["id"], ends_at=contract["ends_at"]), as_json=as_json
    )


def end(
    contract_id: ContractId,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="In force until then (UTC), in the future.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """End a contract at a moment to come; live jobs pause there."""
    contract = _post(url, key, contract_id, "end", {"ends_at": at})
    write_answer(
        contract, say("{id} ends at {ends_at}.", id=contract["id"], ends_at=contract["ends_at"]), as_json=as_json
    )


def cancel(contract_id: ContractId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Cancel a contract that was made by mistake, before any use; its unpaid orders go with it."""
    contract = _post(url, key, contract_id, "cancel", {})
    write_answer(contract, say("{id} is cancelled.", id=contract["id"]), as_json=as_json)


def _post(url: str | None, key: str | None, contract_id: str, action: str, body: dict[str, Any]) -> Any:
    with connect(url, key) as client:
        return client.post(f"/contracts/{_resolve(client, contract_id)}/{action}", body)


def _resolve(client: BrokerClient, contract_id: str) -> str:
    return resolve_id(client, "con", contract_id)


def add_to(app: typer.Typer) -> None:
    """Add these commands to those of contracts."""
    commands: dict[str, Callable[..., None]] = {
        "events": list_events,
        "amend": amend,
        "amendments": list_amendments,
        "withdraw": withdraw,
        "renew": renew,
        "decline": decline,
        "end": end,
        "cancel": cancel,
    }
    for name, command in commands.items():
        app.command(name)(command)
