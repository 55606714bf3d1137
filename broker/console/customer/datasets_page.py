"""Data sets: uploaded, looked at with their findings and pictures, and deleted."""

from typing import Annotated, Literal

from fastapi import Query
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from broker.console.frame.forms import Form
from broker.console.frame.listing import Column, Listing
from broker.console.frame.menu import N_
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.datasets import service as datasets
from broker.datasets import token_counts
from broker.datasets.captions import read_captions
from broker.datasets.thumbnails import find_picture, list_picture_names, make_thumbnail

router = page_router("/datasets")

PAGE = 25
MOST_PICTURES = 48
# A picture of a data set never changes; only its owner may keep it.
KEPT_PRIVATELY = "private, max-age=86400, immutable"
COLUMNS = (
    Column(N_("Data set")),
    Column(N_("Kind")),
    Column(N_("Usable"), is_number=True),
    Column(N_("Errors"), is_number=True),
    Column(N_("Warnings"), is_number=True),
    Column(N_("Size"), is_number=True),
    Column(N_("Uploaded")),
)


@router.get("")
async def show_datasets(
    page: CustomerPage,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    next_page: Annotated[Literal["new"] | None, Query(alias="next")] = None,
) -> HTMLResponse:
    """Show the data sets, the newest first, and the form for another."""
    return await _show(page, Form({"next": next_page or ""}), cursor=cursor)


async def _show(page: Page, form: Form, *, cursor: str | None = None, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    query = datasets.select_datasets(customer_id=work.actor.customer_id)
    rows, after = await fetch_newest(work, query, limit=PAGE, cursor=cursor)
    panel = Panel.of(rows, page.now, shown=len(rows), is_filtered=cursor is not None)
    listing = Listing(len(rows), next_cursor=after, cursor=cursor)
    return page.show("customer/datasets.html", status=status, box=panel, listing=listing, columns=COLUMNS, form=form)


@router.post("")
async def upload_dataset(page: CustomerPage) -> Response:
    """Upload files through the API, and go to their report, or on with a new job."""
    form = await page.read_form()
    sent = [each for name, each in (await page.request.form()).multi_items() if name == "files"]
    files = [
        ("files", (each.filename or "file", await each.read(), each.content_type or "application/octet-stream"))
        for each in sent
        if isinstance(each, UploadFile) and each.filename
    ]
    answer = await page.ask("POST", "/v1/datasets", key=form.key, files=files, data=form.given("name"))
    if answer.problem is not None:
        return await _show(page, form.refused(answer.problem), status=answer.status)
    dataset_id = answer.body["id"]
    if form.get("next") == "new":
        return page.go_to(f"/console/jobs/new?dataset_id={dataset_id}")
    return page.go_to(f"/console/datasets/{dataset_id}")


@router.get("/{dataset_id}")
async def show_dataset(
    page: CustomerPage, dataset_id: str, first: Annotated[int, Query(ge=0, le=10_000_000)] = 0
) -> HTMLResponse:
    """Show a data set: what was found in it, how far its tokens are counted, its pictures."""
    return await show_one(page, dataset_id, Form(), first=first)


async def show_one(page: Page, dataset_id: str, form: Form, *, first: int = 0, status: int = 200) -> HTMLResponse:
    """Show a data set, and where a form of it was refused, why."""
    async with page.caller.look() as work:
        dataset = await datasets.get_dataset(work, dataset_id)
        storage = work.storage
    names = list_picture_names(dataset)
    captions = {each.name: each.caption for each in await read_captions(storage, dataset)} if names else {}
    work = await page.begin()
    return page.show(
        "customer/dataset.html",
        status=status,
        box=Panel.ready(dataset, page.now),
        counts=await token_counts.list_counts(work, [dataset_id]),
        pictures=list(enumerate(names))[first : first + MOST_PICTURES],
        numbers={name: number for number, name in enumerate(names)},
        captions=captions,
        can_label=bool(names and work.settings.offered_captioners.names),
        pictures_total=len(names),
        first=first,
        step=MOST_PICTURES,
        form=form,
    )


@router.get("/{dataset_id}/pictures/{number}")
async def download_picture(page: CustomerPage, dataset_id: str, number: int) -> Response:
    """Hand over a small copy of a picture, made anew as JPEG: nothing that was uploaded reaches a browser as it is."""
    async with page.caller.look() as work:
        picture = find_picture(work, await datasets.get_dataset(work, dataset_id), number)
    content = await make_thumbnail(picture)
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": KEPT_PRIVATELY})


@router.post("/{dataset_id}/delete")
async def delete_dataset(page: CustomerPage, dataset_id: str) -> Response:
    """Delete a data set through the API."""
    form = await page.read_form()
    answer = await page.ask("DELETE", f"/v1/datasets/{dataset_id}")
    if answer.problem is not None:
        return await show_one(page, dataset_id, form.refused(answer.problem), status=answer.status)
    return page.go_to("/console/datasets")
