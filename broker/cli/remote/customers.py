"""`broker customers`: who there is, its people, its verification (实名), and its exit."""

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.failures import CommandFailed
from broker.cli.output import DeleteAtOnce, ask, one_line, tell_gone, write_answer
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column
from broker.cli.words import say

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Customers: list, people, verification, export, deletion."
)

CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
CUSTOMERS = (Column("customer"), Column("name"), Column("verified"), Column("requests a minute", right=True))
PEOPLE = (Column("person"), Column("mail"), Column("acts as"), Column("signed in"))
PIECE_BYTES = 1 << 20


@app.command("list")
def list_customers(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the customers, the newest first."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/customers"))
    write_table(page, CUSTOMERS, _make_row, as_json=as_json)


def _make_row(each: dict[str, Any]) -> list[str]:
    limit = each["requests_per_minute"]
    return [each["id"], one_line(each["name"]), each["verification"], "" if limit is None else str(limit)]


@app.command("people")
def list_people(customer: CustomerId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List who signs in to the console for a customer by OpenID Connect."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/people", customer_id=customer))
    told = lambda each: [each["id"], each["email"], each["api_key_id"], (each["signed_in_at"] or say("not yet"))[:16]]  # noqa: E731
    write_table(page, PEOPLE, told, as_json=as_json)


@app.command("invite")
def invite_person(
    customer: CustomerId,
    email: Annotated[str, typer.Argument(help="The mail address that the provider has verified.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Invite a person, who signs in to the console by OpenID Connect and acts for the customer."""
    with connect(url, key) as client:
        person = client.post("/people", {"email": email, "customer_id": customer})
    write_answer(person, say("{email} may sign in; {id}.", email=person["email"], id=person["id"]), as_json=as_json)


@app.command("remove-person")
def remove_person(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The person's id.")],
    yes: DeleteAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Remove a person; its sessions end at once."""
    ask(say("Remove {person}?", person=person), yes=yes)
    with connect(url, key) as client:
        client.delete(f"/people/{person}")
    write_answer(tell_gone(person), say("{name} is removed.", name=person), as_json=as_json)


@app.command("verify")
def submit_verification(
    customer: CustomerId,
    name: Annotated[str, typer.Option("--name", help="The name by law.")],
    number: Annotated[str, typer.Option("--number", help="统一社会信用代码, or number of the identity document.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Submit who a customer is by law (实名), for finance to decide."""
    with connect(url, key) as client:
        told = client.post(f"/customers/{customer}/verification", {"name": name, "document_number": number})
    write_answer(
        told,
        say("{id} is {status}.", id=customer, status=told["verification"]),
        as_json=as_json,
    )


@app.command("verification")
def show_verification(customer: CustomerId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show what a customer has submitted; that somebody looked is in the audit (finance)."""
    with connect(url, key) as client:
        told = client.get(f"/customers/{customer}/verification")
    shown = say(
        "{customer} is {verification}: {name} {document_number}",
        customer=customer,
        verification=told["verification"],
        name=one_line(told["name"] or ""),
        document_number=told["document_number"] or "",
    )
    write_answer(told, shown, as_json=as_json)


@app.command("decide")
def decide_verification(
    customer: CustomerId,
    verdict: Annotated[str, typer.Argument(help="verified, rejected, or unverified to take it back.")],
    note: Annotated[str | None, typer.Option("--note", help="Why, for the customer.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Decide whether a customer is who it says by law (finance)."""
    with connect(url, key) as client:
        told = client.post(f"/customers/{customer}/verification/decide", {"verdict": verdict, "note": note})
    write_answer(
        told,
        say("{id} is {status}.", id=customer, status=told["verification"]),
        as_json=as_json,
    )


@app.command("export")
def export_customer(
    customer: CustomerId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The archive to write.")] = Path("export.zip"),
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Download all that a customer has in one archive, and check it by its manifest."""
    with connect(url, key) as client:
        client.download(f"/customers/{customer}/export", output)
    check_archive(output, as_json=as_json)


@app.command("check-archive")
def check_archive(
    archive: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An archive of `export`.")],
    public_key: Annotated[
        str | None, typer.Option("--public-key", help="The installation's; default: the one in the archive.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check each file of an archive by the hashes of its manifest, and the manifest by its signature; no broker."""
    with zipfile.ZipFile(archive) as opened:
        written, signature = opened.read("manifest.json"), opened.read("manifest.sig")
        manifest = json.loads(written)
        signer = public_key or manifest["public_key"]
        faults = [] if _is_signed(signer, written, signature) else [say("manifest.json: another key has signed it")]
        named = {entry["path"] for entry in manifest["entries"]} | {"manifest.json", "manifest.sig"}
        faults += [say("{path}: is not in the manifest", path=path) for path in opened.namelist() if path not in named]
        faults += [path for entry in manifest["entries"] if (path := _find_fault(opened, entry))]
    if faults:
        raise CommandFailed("\n".join(faults), path=str(archive), faults=faults)
    checked = {"path": str(archive), "files": len(manifest["entries"]), "signed_by": signer}
    write_answer(
        checked,
        say(
            "{archive}: {files} files, all as signed by {signer}.",
            archive=archive,
            files=checked["files"],
            signer=signer,
        ),
        as_json=as_json,
    )


def _is_signed(public_key: str, written: bytes, signature: bytes) -> bool:
    """Tell whether a key has signed the bytes. Raises: CommandFailed, where what tells that is not installed."""
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (of this command alone)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError as error:
        raise CommandFailed(
            say("signatures are checked by a package that is not here: pip install cryptography")
        ) from error
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(base64.b64decode(signature), written)
    except (InvalidSignature, ValueError):
        return False
    return True


def _find_fault(opened: zipfile.ZipFile, entry: dict[str, Any]) -> str | None:
    digest = hashlib.sha256()
    try:
        with opened.open(entry["path"]) as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
    except (KeyError, zipfile.BadZipFile) as error:
        return f"{entry['path']}: {error}"
    return None if digest.hexdigest() == entry["sha256"] else say("{path}: has another hash", path=entry["path"])


@app.command("delete-data")
def delete_data(
    customer: CustomerId,
    confirm: Annotated[str, typer.Option("--confirm", help="The customer's name, exactly.")],
    yes: DeleteAtOnce = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Delete all data sets, uploads, adapters and checkpoints of a customer, for good. Export first."""
    ask(say("Delete everything that {confirm} has made? This cannot be undone.", confirm=confirm), yes=yes)
    with connect(url, key) as client:
        made = client.post(f"/customers/{customer}/deletions", {"confirm": confirm})
    files = len(made["manifest"]["entries"])
    write_answer(
        made,
        say("{id}: {files} files go with the next sweep; `broker customers deletion`.", id=made["id"], files=files),
        as_json=as_json,
    )


@app.command("deletion")
def show_deletion(
    customer: CustomerId,
    deletion: Annotated[str, typer.Argument(metavar="DELETION", help="The deletion's id.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show whether all files of a deletion are gone; with --json the signed proof."""
    with connect(url, key) as client:
        told = client.get(f"/customers/{customer}/deletions/{deletion}")
    left = sum(not entry["is_gone"] for entry in told["manifest"]["entries"])
    write_answer(
        told,
        say("All files are gone.") if told["is_complete"] else say("{left} files are still there.", left=left),
        as_json=as_json,
    )
