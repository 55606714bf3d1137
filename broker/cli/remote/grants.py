"""`broker grants`: what was given and bought, what is left of it, and how it ends."""

from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import ConfirmAtOnce, ask, make_console, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.remote.projects import find_project
from broker.cli.remote.volumes import (
    Hours,
    ProjectScope,
    Tokens,
    TypeScope,
    describe_scope,
    describe_volume,
    read_scope,
    read_volume,
)
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import DASH, describe_money
from broker.cli.words import say
from broker.client.objects.contracts import Grant
from broker.client.typed import BrokerClient

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Grants: list, show, give, void, refund.")

GrantId = Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id, or the beginning of it.")]
OfContract = Annotated[str | None, typer.Option("--contract", help="Only this contract's.")]
COLUMNS = (
    Column("grant"),
    Column("kind"),
    Column("status"),
    Column("whole", right=True),
    Column("left", right=True),
    Column("until", right=True),
)
DRAW_COLUMNS = (Column("draw"), Column("job"), Column("intervals"), Column("paid", right=True), Column("month"))


@app.command("list")
def list_grants(
    contract: OfContract = None,
    status: Annotated[str | None, typer.Option(help="pending, active, expired, void or cancelled.")] = None,
    kind: Annotated[str | None, typer.Option(help="bought, promotional or compensation.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List grants, the newest first, each with what is left of it."""
    with connect(url, key) as client:
        contract_id = None if contract is None else resolve_id(client, "con", contract)
        grants = collect_page(client.list_all("/grants", contract_id=contract_id, status=status, kind=kind))
    write_table(grants, COLUMNS, _make_row, as_json=as_json)


def _make_row(grant: Grant) -> list[str]:
    until = say("no end") if grant["expires_at"] is None else grant["expires_at"][:10]
    return [grant["id"], grant["kind"], grant["status"], describe_volume(grant), _describe_left(grant), until]


def _describe_left(grant: Grant) -> str:
    return f"{grant['left']:,}" if grant["left_gpu_hours"] is None else grant["left_gpu_hours"]


@app.command("show")
def show_grant(grant_id: GrantId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one grant: what is left, in per cent and days, and what it pays for."""
    with connect(url, key) as client:
        grant = client.get(f"/grants/{_resolve(client, grant_id)}")
    if as_json:
        write_json(grant)
        return
    console = make_console()
    write_lines(console, [Text(grant["id"], "bold"), *make_card(_tell(grant), console.width)])


def _tell(grant: Grant) -> list[tuple[str, str]]:
    pace = (
        ""
        if grant["days_left"] is None
        else say(", {days_left} days at the present pace", days_left=grant["days_left"])
    )
    until = say("no end") if grant["expires_at"] is None else grant["expires_at"][:10]
    return [
        ("Contract", grant["contract_id"]),
        ("Kind", f"{grant['kind']}, {grant['status']}"),
        ("Whole", say("{volume} at {unit_price} yuan", volume=describe_volume(grant), unit_price=grant["unit_price"])),
        ("Left", f"{_describe_left(grant)} ({grant['left_percent'] or DASH} %){pace}"),
        ("Pays for", describe_scope(grant["scope"])),
        ("In force", say("{begin} to {end}", begin=grant["effective_at"][:10], end=until)),
        ("Invoice", grant["invoice_id"] or ""),
        ("Reason", grant["reason"] or ""),
    ]


@app.command("give")
def give_grant(
    contract: Annotated[str, typer.Option("--contract", help="The contract that it is for.")],
    reason: Annotated[str, typer.Option(help="Why, for people and the record.")],
    kind: Annotated[str, typer.Option(help="promotional or compensation.")] = "promotional",
    hours: Hours = None,
    tokens: Tokens = None,
    project: ProjectScope = None,
    gpu_type: TypeScope = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="Its end (UTC); default: 12 months.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Give a grant: it pays before what was bought, and is never refunded (finance)."""
    volume = read_volume(hours, tokens)
    with connect(url, key) as client:
        project_id = None if project is None else find_project(client, project)
        body: dict[str, Any] = {"contract_id": resolve_id(client, "con", contract), "kind": kind, "reason": reason}
        body |= volume | read_scope(project_id, gpu_type)
        grant = client.post("/grants", body | ({} if expires_at is None else {"expires_at": expires_at}))
    write_answer(grant, say("{id} gives {volume}.", id=grant["id"], volume=describe_volume(grant)), as_json=as_json)


@app.command("void")
def void_grant(
    grant_id: GrantId,
    reason: Annotated[str, typer.Option(help="Why, for people and the record.")],
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Take back what is unused of a grant; nothing is paid back, and it is for good (finance)."""
    with connect(url, key) as client:
        grant: Grant = client.get(f"/grants/{_resolve(client, grant_id)}")
        ask(
            say(
                "Take back what is unused of {id}, {left} of {volume}?",
                id=grant["id"],
                left=_describe_left(grant),
                volume=describe_volume(grant),
            ),
            yes=yes,
        )
        grant = client.post(f"/grants/{grant['id']}/void", {"reason": reason})
    write_answer(grant, say("{id} is void.", id=grant["id"]), as_json=as_json)


@app.command("refund")
def refund_grant(
    grant_id: GrantId, yes: ConfirmAtOnce = False, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Refund what is unused of a grant that was bought and paid; gifts are never refunded (finance)."""
    with connect(url, key) as client:
        grant: Grant = client.get(f"/grants/{_resolve(client, grant_id)}")
        ask(
            say(
                "Refund what is unused of {id}, {left} of {volume}?",
                id=grant["id"],
                left=_describe_left(grant),
                volume=describe_volume(grant),
            ),
            yes=yes,
        )
        refund = client.post(f"/grants/{grant['id']}/refund")
    write_answer(
        refund,
        say("{grant}: {total} are owed back.", grant=refund["grant_id"], total=describe_money(refund["total"])),
        as_json=as_json,
    )


@app.command("draws")
def list_draws(grant_id: GrantId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List what a grant has paid for, the newest first (抵扣明细)."""
    with connect(url, key) as client:
        draws = collect_page(client.list_all(f"/grants/{_resolve(client, grant_id)}/draws"))
    write_table(draws, DRAW_COLUMNS, _make_draw_row, as_json=as_json)


def _make_draw_row(draw: dict[str, Any]) -> list[str]:
    intervals = f"{draw['first_sequence']}-{draw['last_sequence']}"
    return [draw["id"], draw["job_id"], intervals, _tell_paid(draw), draw["month"]]


def _tell_paid(draw: dict[str, Any]) -> str:
    return f"{draw['quantity']:,} {'tokens' if draw['meter'] == 'tokens' else 'GPU-seconds'}"


def _resolve(client: BrokerClient, grant_id: str) -> str:
    return resolve_id(client, "gra", grant_id)
