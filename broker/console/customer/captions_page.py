"""Captions of a data set's pictures: edited by hand, one by one or many at once, or made by a model for a price."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response

from broker.console.customer.dataset_order import Order, list_payers, take_order
from broker.console.customer.datasets_page import show_one
from broker.console.frame.forms import Form, Submitted, read_whole
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.datasets import service as datasets
from broker.datasets.captions import read_captions
from broker.datasets.thumbnails import list_picture_names

router = page_router("/datasets/{dataset_id}")

# So begin the fields of single captions; behind it the picture's place among those of the data set.
CAPTION = "caption-"
LABEL_FIELDS = ("base_model", "scope", "conflict", "form", "trigger", "prefix")


@router.post("/captions")
async def edit_captions(page: CustomerPage, dataset_id: str) -> Response:
    """Edit many captions at once through the API, and go to the version that has them."""
    form = await page.read_form()
    body: dict[str, Any] = form.given("scope", "conflict", "form", "caption", "trigger")
    body |= {name: tags for name in ("add_tags", "remove_tags") if (tags := split_tags(form.get(name)))}
    return await _edit(page, dataset_id, body, form)


@router.post("/captions/each")
async def edit_each_caption(page: CustomerPage, dataset_id: str) -> Response:
    """Edit single captions through the API: those that are other than they were."""
    form = await page.read_form()
    async with page.caller.look() as work:
        dataset = await datasets.get_dataset(work, dataset_id)
        storage = work.storage
    names = list_picture_names(dataset)
    before = {each.name: each.caption for each in await read_captions(storage, dataset)}
    typed = {
        names[int(name.removeprefix(CAPTION))]: " ".join(value.split())
        for name, value in form.values.items()
        if name.startswith(CAPTION) and name.removeprefix(CAPTION).isdecimal() and int(name[8:]) < len(names)
    }
    changed = {name: caption for name, caption in typed.items() if before.get(name, caption) != caption}
    if not changed:
        return page.go_to(f"/console/datasets/{dataset_id}")
    return await _edit(page, dataset_id, {"captions": changed, "form": "sentences"}, form)


async def _edit(page: Page, dataset_id: str, body: Mapping[str, Any], form: Submitted) -> Response:
    answer = await page.ask("POST", f"/v1/datasets/{dataset_id}/captions", body, key=form.key)
    if answer.problem is not None:
        return await show_one(page, dataset_id, form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/datasets/{answer.body['dataset']['id']}")


@router.get("/label")
async def show_label(page: CustomerPage, dataset_id: str) -> HTMLResponse:
    """Show the form of a labelling."""
    return await _show_label(page, dataset_id, Order(Form()))


@router.post("/label")
async def send_label(page: CustomerPage, dataset_id: str) -> Response:
    """Show the price of a labelling, or submit it at that price."""
    form = await page.read_form()
    order = await take_order(page, dataset_id, write_config(form), form)
    if order.job_id is None:
        return await _show_label(page, dataset_id, order)
    return page.go_to(f"/console/jobs/{order.job_id}")


async def _show_label(page: Page, dataset_id: str, order: Order) -> HTMLResponse:
    work = await page.begin()
    return page.show(
        "customer/label.html",
        status=order.status,
        data=await datasets.get_dataset(work, dataset_id),
        captioners=work.settings.offered_captioners.names,
        payers=await list_payers(work),
        quote=order.quote,
        form=order.form,
    )


def write_config(form: Submitted) -> dict[str, Any]:
    """Write the configuration of a labelling as it was filled in. Pure."""
    config: dict[str, Any] = {"kind": "auto_label", **form.given(*LABEL_FIELDS)}
    if form.get("drop_tags"):
        config["drop_tags"] = split_tags(form.get("drop_tags"))
    if form.get("max_tokens"):
        config["max_tokens"] = read_whole(form.get("max_tokens"))
    return config


def split_tags(text: str) -> list[str]:
    """Split tags that commas separate. Pure."""
    return [tag for each in text.replace("，", ",").split(",") if (tag := each.strip())]
