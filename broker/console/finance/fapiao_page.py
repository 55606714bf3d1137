"""Fapiao (发票): what is to be issued, and of each its number, files, and the red ones that take it back."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Query, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import UploadFile

from broker import errors
from broker.console.finance.acts import Act, carry_out
from broker.console.finance.fapiao_view import COLUMNS, KINDS, LINE_COLUMNS, RED_REASONS, STATES, FapiaoList, FapiaoView
from broker.console.frame.api import Answer
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Listing
from broker.console.frame.page import FinancePage, Page, page_router
from broker.console.frame.panels import Panel, read_panel
from broker.fapiao.listing import fetch_fapiao, read_fapiao
from broker.fapiao.model import FapiaoStatus
from broker.identity import service as identity
from broker.work import Work

SHOWN = 50
ACTS = ("issue", "cancel", "red", "files")
# What the link of a tab says for fapiao of any state.
ALL = "all"

router = page_router("/finance")


@router.get("/fapiao")
async def list_fapiao(
    page: FinancePage,
    state: Annotated[str, Query(pattern="^(requested|issued|cancelled|all)$")] = FapiaoStatus.REQUESTED.value,
    number: Annotated[str | None, Query(max_length=40)] = None,
    cursor: str | None = None,
) -> HTMLResponse:
    """Show the fapiao that are to be issued, or those of another state, or the one with a number."""
    work = await page.begin()
    wanted = None if state == ALL or number is not None else FapiaoStatus(state)

    async def read(work: Work) -> Panel[FapiaoList]:
        found = await fetch_fapiao(work, wanted, number=number, limit=SHOWN, cursor=cursor)
        names = await identity.list_names(work, {row.customer_id for row in found.rows})
        view = FapiaoList(found, names, Listing(len(found.rows), found.count, found.next_cursor, cursor))
        return Panel.of(view, work.now, shown=len(found.rows), is_filtered=number is not None)

    return page.show(
        "finance/fapiao.html",
        fapiao=await read_panel(page.request, work, read),
        state=state,
        states=STATES,
        kinds=KINDS,
        number=number,
        columns=COLUMNS,
    )


@router.get("/fapiao/{fapiao_id}")
async def show_fapiao(page: FinancePage, fapiao_id: str, done: str | None = None) -> HTMLResponse:
    """Show a fapiao as it is to be issued, or was, and what can be done with it."""
    return await _show(page, await page.begin(), fapiao_id, done=done)


async def _show(
    page: Page,
    work: Work,
    fapiao_id: str,
    *,
    refused: dict[str, Form] | None = None,
    done: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    found = await read_fapiao(work, fapiao_id)
    names = await identity.list_names(work, [found.row.customer_id])
    return page.show(
        "finance/fapiao_one.html",
        status=status,
        view=FapiaoView(found, names[found.row.customer_id]),
        forms={name: Form() for name in ACTS} | (refused or {}),
        states=STATES,
        kinds=KINDS,
        red_reasons=RED_REASONS,
        line_columns=LINE_COLUMNS,
        done=done,
    )


@router.post("/fapiao/{fapiao_id}/{name}")
async def act_on_fapiao(page: FinancePage, fapiao_id: str, name: str) -> Response:
    """Issue a fapiao, cancel its request, take it back by a red one, or add its file, through the API."""
    form = await page.read_form()
    if name == "files":
        answer = await _add_file(page, fapiao_id, form)
    else:
        answer = await carry_out(page, plan_act(fapiao_id, name, form), form)
    if answer.problem is None:
        return page.go_to(f"/console/finance/fapiao/{quote(fapiao_id, safe='')}?done={name}")
    refused = {name: form.refused(answer.problem)}
    return await _show(page, await page.begin(), fapiao_id, refused=refused, status=answer.status)


async def _add_file(page: Page, fapiao_id: str, form: Submitted) -> Answer:
    file = (await page.request.form()).get("file")
    content, name = (await file.read(), file.filename) if isinstance(file, UploadFile) else (b"", None)
    return await page.ask(
        "POST",
        f"/v1/fapiao/{quote(fapiao_id, safe='')}/files",
        key=form.key,
        files={"file": (name or "fapiao", content, "application/octet-stream")},
        data={"format": form.get("format")},
    )


def plan_act(fapiao_id: str, name: str, form: Submitted) -> Act:
    """Plan what a form asks for. Pure. Raises: NotFound, for an act that there is not."""
    issued = {"number": form.get("number"), "issued_on": form.get("issued_on")}
    bodies = {
        "issue": issued,
        "cancel": None,
        "red": {**issued, "reason": form.get("reason"), **form.given("amount")},
    }
    if name not in bodies:
        raise errors.NotFound("page", name)
    return Act(f"/fapiao/{quote(fapiao_id, safe='')}/{name}", bodies[name])
