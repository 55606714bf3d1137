"""`broker approvals`: what gives money away above what one person may, proposed and decided."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from broker.cli.output import ConfirmAtOnce, ask, make_console, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table_with_notes
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import describe_money
from broker.cli.words import say

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What needs two people: list, show, propose, approve, reject."
)

ApprovalId = Annotated[str, typer.Argument(metavar="PROPOSAL", help="The proposal's id.")]
COLUMNS = (
    Column("proposal"),
    Column("act"),
    Column("about"),
    Column("amount", right=True),
    Column("status"),
    Column("until", right=True),
)


@app.command("list")
def list_approvals(
    status: Annotated[
        str | None, typer.Option(help="proposed, approved, rejected or expired; default: what waits.")
    ] = "proposed",
    every: Annotated[bool, typer.Option("--all", help="Those that are decided and expired, too.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List what waits for another person, the newest first, each with its reason (finance)."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/approvals", status=None if every else status))
    write_table_with_notes(page, COLUMNS, _make_row, lambda each: str(each["reason"]), as_json=as_json)


def _make_row(each: dict[str, Any]) -> list[str]:
    amount, until = describe_money(each["amount"]), each["expires_at"][:10]
    return [each["id"], each["act"], each["subject_id"], amount, each["status"], until]


@app.command("show")
def show_approval(approval_id: ApprovalId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one proposal: what is to be done, who proposed it, who decided it (finance)."""
    with connect(url, key) as client:
        row = client.get(f"/approvals/{approval_id}")
    if as_json:
        write_json(row)
        return
    console = make_console()
    write_lines(console, [Text(row["id"], "bold"), *make_card(_tell(row), console.width)])


def _tell(row: dict[str, Any]) -> list[tuple[str, str]]:
    decided = "" if row["decider"] is None else f"{row['decider']}, {row['decided_at'][:16]}"
    return [
        ("Status", row["status"]),
        ("Act", say("{act} about {subject}", act=row["act"], subject=row["subject_id"])),
        ("Amount", describe_money(row["amount"])),
        ("Reason", row["reason"]),
        ("Body", json.dumps(row["body"], ensure_ascii=False)),
        ("Proposed", f"{row['proposer']}, {row['created_at'][:16]}"),
        ("Decided", decided),
        ("Because", row["decision_reason"] or ""),
        ("Made", row["result_id"] or ""),
    ]


@app.command("propose")
def propose_act(
    act: Annotated[
        str,
        typer.Argument(
            metavar="ACT",
            help="adjustment, credit_note, dispute_loss, grant, grant_refund, grant_void, refund or void.",
        ),
    ],
    body: Annotated[
        str, typer.Option("--body", metavar="JSON|FILE|-", help="What the route of the act takes, as JSON.")
    ],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Propose an act for another person to approve; it is tried out, and nothing is booked (finance)."""
    read = _read_body(body)
    with connect(url, key) as client:
        row = client.post("/approvals", {"act": act, "body": read})
    told = say(
        "{id} waits for another person until {expires_at}: {sum}.",
        id=row["id"],
        expires_at=row["expires_at"][:10],
        sum=describe_money(row["amount"]),
    )
    write_answer(row, told, as_json=as_json)


def _read_body(given: str) -> Any:
    """Read the JSON that was given, or that a file or standard input has. Raises: typer.BadParameter."""
    try:
        if given == "-":
            return json.load(sys.stdin)
        return json.loads(given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(
            say("is no JSON, and no file of it: {error}", error=error), param_hint="--body"
        ) from error


@app.command("approve")
def approve_act(
    approval_id: ApprovalId, yes: ConfirmAtOnce = False, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Approve what another person proposed: it is done at once (finance)."""
    with connect(url, key) as client:
        row = client.get(f"/approvals/{approval_id}")
        ask(
            say(
                "{act} of {sum} about {subject}: {reason}?",
                act=row["act"],
                sum=describe_money(row["amount"]),
                subject=row["subject_id"],
                reason=row["reason"],
            ),
            yes=yes,
        )
        row = client.post(f"/approvals/{row['id']}/approve")
    write_answer(
        row, say("{id} is approved, and made {result}.", id=row["id"], result=row["result_id"]), as_json=as_json
    )


@app.command("reject")
def reject_act(
    approval_id: ApprovalId,
    reason: Annotated[str, typer.Option(help="Why, for people and the record.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Reject what was proposed; who proposed it takes it back so (finance)."""
    with connect(url, key) as client:
        row = client.post(f"/approvals/{approval_id}/reject", {"reason": reason})
    write_answer(row, say("{id} is rejected.", id=row["id"]), as_json=as_json)
