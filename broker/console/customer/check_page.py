"""A check of a data set as a job: every picture is opened, every row is read; its report becomes the data set's."""

from typing import Any

from fastapi.responses import HTMLResponse, Response

from broker.console.customer.dataset_order import Order, list_payers, take_order
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.datasets import service as datasets

router = page_router("/datasets/{dataset_id}/check")


@router.get("")
async def show_check(page: CustomerPage, dataset_id: str) -> HTMLResponse:
    """Show what a check does, and the form of one."""
    return await _show(page, dataset_id, Order(Form()))


@router.post("")
async def send_check(page: CustomerPage, dataset_id: str) -> Response:
    """Show the price of a check, or submit it at that price."""
    form = await page.read_form()
    order = await take_order(page, dataset_id, write_config(form), form)
    return await _show(page, dataset_id, order) if order.job_id is None else page.go_to(f"/console/jobs/{order.job_id}")


async def _show(page: Page, dataset_id: str, order: Order) -> HTMLResponse:
    work = await page.begin()
    return page.show(
        "customer/check.html",
        status=order.status,
        data=await datasets.get_dataset(work, dataset_id),
        payers=await list_payers(work),
        quote=order.quote,
        form=order.form,
    )


def write_config(form: Submitted) -> dict[str, Any]:
    """Write the configuration of a check as it was filled in. Pure."""
    return {"kind": "check", **form.given("default_caption")}
