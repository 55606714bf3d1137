"""`broker disputes`: lines that customers do not accept, and payments that a bank takes back, to their end."""

from typing import Annotated

import typer

from broker.cli.output import ConfirmAtOnce, ask, one_line, write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import find_invoice
from broker.cli.remote.lists import collect_page, write_table_with_notes
from broker.cli.texts.columns import Column
from broker.cli.texts.values import describe_money
from broker.cli.words import say
from broker.client.objects.payments import Dispute

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Disputes: list, open, answer, win, lose, withdraw.")

DisputeId = Annotated[str, typer.Argument(metavar="DISPUTE", help="The dispute's id.")]
COLUMNS = (
    Column("dispute"),
    Column("kind"),
    Column("status"),
    Column("amount", right=True),
    Column("opened"),
    Column("invoice"),
)


@app.command("list")
def list_disputes(
    status: Annotated[str | None, typer.Option(help="opened, answered, won, lost or withdrawn.")] = None,
    invoice: Annotated[str | None, typer.Option("--invoice", help="Only of this invoice, by number or id.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List disputes and chargebacks, the newest first, each with what they are about."""
    with connect(url, key) as client:
        invoice_id = None if invoice is None else find_invoice(client, invoice)
        disputes = collect_page(client.list_all("/disputes", status=status, invoice_id=invoice_id))
    write_table_with_notes(disputes, COLUMNS, _make_row, _tell_why, as_json=as_json)


def _make_row(dispute: Dispute) -> list[str]:
    told = [dispute["id"], dispute["kind"], dispute["status"], dispute["gross"]["amount"]]
    return [*told, dispute["created_at"][:10], dispute["invoice_id"]]


def _tell_why(dispute: Dispute) -> str:
    place = say("line {position}: ", position=dispute["position"]) if dispute["position"] else ""
    answer = f" — {one_line(dispute['answer'])}" if dispute["answer"] else ""
    return place + one_line(dispute["reason"]) + answer


@app.command("open")
def open_dispute(
    invoice: Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice, by number or id.")],
    line: Annotated[int, typer.Option("--line", min=1, help="The line, by its place on it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    amount: Annotated[str | None, typer.Option(help="Yuan of the line; default: all that is left of it.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Dispute a line of a final invoice: while that stands, so much of it is not overdue."""
    with connect(url, key) as client:
        body = {"invoice_id": find_invoice(client, invoice), "position": line, "reason": reason}
        dispute: Dispute = client.post("/disputes", body | ({} if amount is None else {"amount": amount}))
    _tell(dispute, as_json=as_json)


@app.command("answer")
def answer_dispute(
    dispute_id: DisputeId,
    answer: Annotated[str, typer.Option("--answer", help="What the house says.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Answer what is disputed; it stands until it ends (finance)."""
    with connect(url, key) as client:
        dispute: Dispute = client.post(f"/disputes/{dispute_id}/answer", {"answer": answer})
    _tell(dispute, as_json=as_json)


@app.command("win")
def win_dispute(dispute_id: DisputeId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """End a dispute for the house: what it is about stands (finance)."""
    with connect(url, key) as client:
        dispute: Dispute = client.post(f"/disputes/{dispute_id}/win")
    _tell(dispute, as_json=as_json)


@app.command("lose")
def lose_dispute(
    dispute_id: DisputeId,
    remedy: Annotated[
        str | None, typer.Option(help="Of a line credit_note or bad_debt; of a chargeback due_again or bad_debt.")
    ] = None,
    yes: ConfirmAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """End a dispute against the house: the books follow (finance; asks)."""
    with connect(url, key) as client:
        found: Dispute = client.get(f"/disputes/{dispute_id}")
        ask(say("Lose {id} about {gross}?", id=found["id"], gross=describe_money(found["gross"])), yes=yes)
        body = {} if remedy is None else {"remedy": remedy}
        dispute: Dispute = client.post(f"/disputes/{dispute_id}/lose", body)
    _tell(dispute, as_json=as_json)


@app.command("withdraw")
def withdraw_dispute(dispute_id: DisputeId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Withdraw a dispute: what it is about is owed as before."""
    with connect(url, key) as client:
        dispute: Dispute = client.post(f"/disputes/{dispute_id}/withdraw")
    _tell(dispute, as_json=as_json)


def _tell(dispute: Dispute, *, as_json: bool) -> None:
    followed = f": {dispute['remedy']} {dispute['remedy_id'] or ''}".rstrip() if dispute["remedy"] else ""
    told = say(
        "{id} about {gross} is {status}{followed}.",
        id=dispute["id"],
        gross=describe_money(dispute["gross"]),
        status=dispute["status"],
        followed=followed,
    )
    write_answer(dispute, told, as_json=as_json)
