"""The account: who its customer is by law (实名), what waits for that, and its exit with all data and with proof."""

import json
from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse, Response, StreamingResponse

from broker.console.frame.forms import Form
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.exits.archive import ArchiveWriter
from broker.exits.deleting import select_deletions
from broker.exits.exporting import list_members
from broker.identity import service as identity

router = page_router("/account")

MOST = 50
# What a deletion has taken of each kind stands in a table; its manifest names all.
MOST_ENTRIES = 200
STATES = {
    "unverified": ("warn", N_("not verified")),
    "submitted": ("warn", N_("submitted, finance decides")),
    "verified": ("good", N_("verified")),
    "rejected": ("bad", N_("rejected")),
}
KINDS = {
    "dataset": N_("data set"),
    "adapter": N_("adapter"),
    "checkpoint": N_("checkpoint"),
    "upload": N_("upload"),
}
DELETIONS = (Column(N_("When")), Column(N_("Files"), is_number=True))
ENTRIES = (
    Column(N_("Kind")),
    Column(N_("Id")),
    Column("SHA-256"),
    Column(N_("Size"), is_number=True),
    Column(N_("Its file")),
)


@router.get("")
async def show_account(page: CustomerPage) -> HTMLResponse:
    """Show who the customer is known to be, and the way out."""
    return await _show(page, Form(), Form())


async def _show(page: Page, verifying: Form, leaving: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    customer = await identity.get_customer(work, work.actor.customer_id or "")
    rows, _after = await fetch_newest(work, select_deletions(customer_id=customer.id), limit=MOST)
    return page.show(
        "customer/account.html",
        status=status,
        customer=customer,
        state=STATES[customer.verification],
        may_submit=customer.verification in {"unverified", "rejected"},
        is_gate=work.settings.verification_before_paying,
        deletions=Panel.of(rows, page.now, shown=len(rows), is_filtered=False),
        columns=DELETIONS,
        verifying=verifying,
        leaving=leaving,
    )


@router.post("/verification")
async def submit_verification(page: CustomerPage) -> Response:
    """Submit who the customer is by law, through the API."""
    form = await page.read_form()
    path = f"/v1/customers/{page.caller.actor.customer_id}/verification"
    answer = await page.ask("POST", path, form.given("name", "document_number"), key=form.key)
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), Form(), status=answer.status)
    return page.go_to("/console/account")


@router.get("/export.zip")
async def download_export(page: CustomerPage) -> StreamingResponse:
    """Hand over all that the customer has in one archive, as it is written."""
    caller, customer_id = page.caller, page.caller.actor.customer_id or ""
    writer = ArchiveWriter(customer_id, page.now, caller.services.secret)
    told = {"Content-Disposition": f'attachment; filename="{customer_id}.zip"', "Cache-Control": "no-store"}
    pieces = writer.write(list_members(caller, customer_id))
    return StreamingResponse(pieces, media_type="application/zip", headers=told)


@router.post("/deletions")
async def delete_everything(page: CustomerPage) -> Response:
    """Delete all data of the customer through the API, once its name is typed, and show the proof."""
    form = await page.read_form()
    path = f"/v1/customers/{page.caller.actor.customer_id}/deletions"
    answer = await page.ask("POST", path, form.given("confirm"), key=form.key)
    if answer.problem is not None:
        return await _show(page, Form(), form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/account/deletions/{answer.body['id']}")


@router.get("/deletions/{deletion_id}")
async def show_deletion(page: CustomerPage, deletion_id: str) -> HTMLResponse:
    """Show a deletion with its proof: each file is looked for anew."""
    answer = await _ask(page, deletion_id)
    if answer.problem is not None:
        return page.show("frame/problem.html", status=answer.status, problem=answer.problem, retry=None)
    entries: list[Any] = answer.body["manifest"]["entries"]
    return page.show(
        "customer/deletion.html",
        deletion=answer.body,
        entries=Panel.of(entries[:MOST_ENTRIES], page.now, shown=len(entries), is_filtered=False),
        total=len(entries),
        gone=sum(each["is_gone"] for each in entries),
        columns=ENTRIES,
        kinds=KINDS,
    )


@router.get("/deletions/{deletion_id}/proof.json")
async def download_proof(page: CustomerPage, deletion_id: str) -> Response:
    """Hand over the signed manifest of a deletion, as the API answers it."""
    answer = await _ask(page, deletion_id)
    if answer.problem is not None:
        return page.show("frame/problem.html", status=answer.status, problem=answer.problem, retry=None)
    told = {"Content-Disposition": f'attachment; filename="{answer.body["id"]}.json"', "Cache-Control": "no-store"}
    written = json.dumps(answer.body, ensure_ascii=False, indent=2)
    return Response(written, media_type="application/json", headers=told)


async def _ask(page: Page, deletion_id: str) -> Any:
    customer_id = page.caller.actor.customer_id
    return await page.ask("GET", f"/v1/customers/{customer_id}/deletions/{quote(deletion_id, safe='')}")
