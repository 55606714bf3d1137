"""`broker keys`: API keys made, listed, rotated, limited and revoked."""

from typing import Annotated, Any

import typer

from broker.cli.output import ConfirmAtOnce, ask, make_console, one_line, write_answer, write_json
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column
from broker.cli.words import say

app = typer.Typer(no_args_is_help=True, add_completion=False, help="API keys: list, create, rotate, limit, revoke.")

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as the list has it (not the key).")]
Expires = Annotated[str | None, typer.Option("--expires", help="From when on it is refused: 2027-01-15T00:00:00Z.")]
COLUMNS = (
    Column("key"),
    Column("name"),
    Column("begins with"),
    Column("may"),
    Column("state"),
    Column("used last"),
    Column("until"),
)


@app.command("list")
def list_keys(customer: Customer = None, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the keys, the newest first: what each may do, when it was used last, and until when it is good."""
    with connect(url, key) as client:
        keys = collect_page(client.list_all("/api-keys", customer_id=customer))
    write_table(keys, COLUMNS, _make_row, as_json=as_json)


def _make_row(each: dict[str, Any]) -> list[str]:
    may = each["role"] if each["scopes"] is None else f"{each['role']}: {' '.join(each['scopes'])}"
    state = "revoked" if each["revoked_at"] else "made"
    used, until = (each["last_used_at"] or say("never"))[:16], (each["expires_at"] or "")[:16]
    return [each["id"], one_line(each["name"]), f"{each['prefix']}…", may, state, used, until]


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What will use it.")],
    customer: Customer = None,
    role: Annotated[str | None, typer.Option(help="Of staff: finance, ops, admin or meter.")] = None,
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="What alone it may do, such as training:write; may be given several times."),
    ] = None,
    confined: Annotated[
        bool, typer.Option("--confined", help="Within projects alone; see projects set-member.")
    ] = False,
    expires: Expires = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a key, for oneself, a customer, or staff; it is shown this once."""
    body: dict[str, Any] = (
        {"name": name} | ({"scopes": scopes} if scopes else {}) | ({"expires_at": expires} if expires else {})
    )
    body |= {"confined_to_projects": True} if confined else {}
    with connect(url, key) as client:
        if role is not None:
            made = client.post("/api-keys", body | {"role": role})
        else:
            made = client.post(f"/customers/{customer or _find_own(client.whoami())}/api-keys", body)
    _tell_new(made, as_json=as_json)


def _find_own(identity: Any) -> str:
    if identity["customer"] is None:
        raise typer.BadParameter(say("whose key is it? Say --customer, or --role for one of staff"))
    return str(identity["customer"]["id"])


@app.command("rotate")
def rotate_key(
    key_id: KeyId,
    overlap: Annotated[int, typer.Option("--overlap-hours", min=0, help="So long the old key is good, too.")] = 24,
    expires: Expires = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a key that takes the place of another, with its scopes and limits; it is shown this once."""
    body = {"overlap_hours": overlap} | ({"expires_at": expires} if expires else {})
    with connect(url, key) as client:
        made = client.post(f"/api-keys/{key_id}/rotate", body)
    _tell_new(made, as_json=as_json)
    if not as_json:
        make_console().print(
            say("{key} is good for {overlap} hours more, or until it ends by itself.", key=key_id, overlap=overlap),
            soft_wrap=True,
        )


def _tell_new(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(made)
        return
    make_console().print(
        say("{id} is {name}; this key is not shown again:", id=made["id"], name=one_line(made["name"])), soft_wrap=True
    )
    typer.echo(made["key"])


@app.command("limit")
def limit_key(
    subject: Annotated[str, typer.Argument(metavar="KEY|CUSTOMER", help="The id of a key, or of a customer.")],
    requests: Annotated[
        int | None, typer.Option("--requests-per-minute", min=0, help="0: any. Left out: the next wider limit.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Set how many requests a key, or each key of a customer, may send in a minute (ops)."""
    path = f"/customers/{subject}" if subject.startswith("cus_") else f"/api-keys/{subject}"
    with connect(url, key) as client:
        changed = client.patch(path, {"requests_per_minute": requests})
    told = {None: say("has no limit of its own"), 0: say("may send any number of requests")}
    words = told.get(requests, say("may send {requests} requests a minute", requests=requests))
    write_answer(changed, f"{subject} {words}.", as_json=as_json)


@app.command("revoke")
def revoke_key(
    key_id: KeyId, yes: ConfirmAtOnce = False, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Revoke a key at once; its sessions of the console end with it."""
    ask(say("Revoke {key}? What uses it is refused from now on.", key=key_id), yes=yes)
    with connect(url, key) as client:
        revoked = client.delete(f"/api-keys/{key_id}")
    write_answer(revoked, say("{key} is revoked.", key=key_id), as_json=as_json)
