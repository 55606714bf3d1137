"""What finance does by a form: a request to the REST API; where one person may not do it alone, a proposal of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.console.frame.api import Answer
from broker.console.frame.forms import Submitted
from broker.console.frame.page import Page

APPROVAL_NEEDED = "approval-needed"


@dataclass(frozen=True)
class Act:
    """A request to the API. `proposal`: the act and the body under which another person is asked to approve it."""

    path: str
    body: Mapping[str, Any] | None = None
    proposal: tuple[str, Mapping[str, Any]] | None = None
    method: str = "POST"


async def carry_out(page: Page, act: Act, form: Submitted) -> Answer:
    """Carry an act out, or propose it where the form says so, once under the form's key."""
    if form.get("propose") and act.proposal is not None:
        name, body = act.proposal
        return await page.ask("POST", "/v1/approvals", {"act": name, "body": body}, key=form.key)
    return await page.ask(act.method, f"/v1{act.path}", act.body, key=form.key)


def needs_second_person(answer: Answer) -> bool:
    """Tell whether an act was refused since one person may not do it alone."""
    return answer.problem is not None and answer.problem.type.endswith(APPROVAL_NEEDED)
