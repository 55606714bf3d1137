"""A promotion that is to be taken back: what its stage has now, what it will have then, and which servers get that."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse, Response

from broker.adapters import promoting
from broker.adapters import service as adapters
from broker.console.environments import PUSH_STATES, STAGES
from broker.console.frame.forms import Form
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.environments.service import list_pushes_of

router = page_router("/promotions/{promotion_id}/undo")


@dataclass(frozen=True)
class RollBack:
    """What a promotion made current and what was so before; None: nothing, or it is deleted (`had_before`)."""

    row: Any
    version: Any | None
    before: Any | None
    is_current: bool
    pushes: Any

    @property
    def had_before(self) -> bool:
        return self.row.before_id is not None

    @property
    def is_possible(self) -> bool:
        """Tell whether it can be taken back: it is the last of its name, and what was before is still there."""
        return self.is_current and (self.before is not None or not self.had_before)


@router.get("")
async def show_roll_back(page: CustomerPage, promotion_id: str) -> HTMLResponse:
    """Show what taking back a promotion will do, and ask for the reason."""
    return await _show(page, promotion_id, Form())


async def _show(page: Page, promotion_id: str, form: Form, *, status: int = 200) -> HTMLResponse:
    work = await page.begin()
    row = await promoting.get_promotion(work, promotion_id)
    versions = await adapters.load_kept(work, {each for each in (row.adapter_id, row.before_id) if each is not None})
    pushes = await list_pushes_of(work, [row])
    back = RollBack(
        row,
        versions.get(row.adapter_id or ""),
        versions.get(row.before_id or ""),
        row.id in await promoting.list_current(work, [row.id]),
        pushes.get((row.customer_id, row.name, row.stage), []),
    )
    return page.show(
        "customer/roll_back.html", status=status, back=back, form=form, stages=STAGES, push_states=PUSH_STATES
    )


@router.post("")
async def roll_back(page: CustomerPage, promotion_id: str) -> Response:
    """Take a promotion back through the API, and go to what is current then."""
    form = await page.read_form()
    answer = await page.ask("POST", f"/v1/promotions/{promotion_id}/undo", form.given("reason"), key=form.key)
    if answer.problem is not None:
        return await _show(page, promotion_id, form.refused(answer.problem), status=answer.status)
    current = answer.body["adapter_id"]
    return page.go_to("/console/environments" if current is None else f"/console/adapters/{quote(current)}")
