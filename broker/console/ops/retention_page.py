"""How long what is kept: rules that ops sets, each change tried before it is applied, and what was swept so far."""

from dataclasses import dataclass
from typing import Any

from fastapi.responses import HTMLResponse, Response

from broker.console.frame.forms import Form
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.ops.retention_view import (
    KINDS,
    REMOVED_COLUMNS,
    RULE_COLUMNS,
    RULES,
    Removal,
    read_changes,
    read_removals,
    read_rules,
    write_value,
    write_word,
)
from broker.identity import service as identity

router = page_router("/ops/retention")
PATH = "/console/ops/retention"


@dataclass(frozen=True)
class Foreseen:
    """What the next sweep would remove by rules that are not applied yet; `word` says which these are."""

    removals: list[Removal]
    changes: dict[str, Any]
    word: str


@router.get("")
async def show_retention(page: OpsPage, done: str | None = None) -> HTMLResponse:
    """Show the rules as a form, and what was removed so far."""
    return await _show(page, Form(), done=done is not None)


async def _show(
    page: Page, form: Form, *, foreseen: Foreseen | None = None, done: bool = False, status: int = 200
) -> HTMLResponse:
    answer = await page.ask("GET", "/v1/retention")
    if answer.problem is not None:
        return page.show("frame/problem.html", status=answer.status, problem=answer.problem, retry=PATH)
    rules, swept = read_rules(answer.body), read_removals(answer.body["swept"])
    names = await identity.list_key_names(await page.begin(), {rule.changed_by for rule in rules if rule.changed_by})
    return page.show(
        "ops/retention.html",
        status=status,
        rules=rules,
        seen_version=answer.version,
        rule_columns=RULE_COLUMNS,
        removed_columns=REMOVED_COLUMNS,
        words=RULES,
        kinds=KINDS,
        names=names,
        swept=Panel.of(swept, page.now, shown=len(swept), is_filtered=False),
        foreseen=foreseen,
        write_value=write_value,
        form=form,
        done=done,
    )


@router.post("")
async def set_retention(page: OpsPage) -> Response:
    """Show what changed rules would remove; those for which that was seen are applied, through the API."""
    form = await page.read_form()
    told = await page.ask("GET", "/v1/retention")
    if told.problem is not None:
        return await _show(page, form.refused(told.problem), status=told.status)
    changes = read_changes(form, read_rules(told.body))
    word = write_word(changes)
    if form.get("step") == "apply" and changes and form.get("seen_changes") == word:
        answer = await page.ask("PATCH", "/v1/retention", changes, seen=form.seen)
        if answer.problem is None:
            return page.go_to(f"{PATH}?done=1")
    else:
        answer = await page.ask("POST", "/v1/retention/preview", changes)
        if answer.problem is None:
            foreseen = Foreseen(read_removals(answer.body["removed"]), changes, word)
            return await _show(page, Form(form.values, key=form.key), foreseen=foreseen)
    return await _show(page, form.refused(answer.problem), status=answer.status)
