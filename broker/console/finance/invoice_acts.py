"""What finance does with an invoice, as requests to the API. Pure."""

from collections.abc import Callable
from urllib.parse import quote

from broker import errors
from broker.console.finance.acts import Act
from broker.console.frame.forms import Submitted, read_whole


def _id(form: Submitted, name: str) -> str:
    """Take an id out of a form as one piece of an address."""
    return quote(form.get(name), safe="")


def _finalize(invoice_id: str, _form: Submitted) -> Act:
    return Act(f"/invoices/{invoice_id}/finalize")


def _redraft(_invoice_id: str, form: Submitted) -> Act:
    return Act("/invoices", form.given("contract_id", "month"))


def _void(invoice_id: str, form: Submitted) -> Act:
    body = {"reason": form.get("reason")}
    return Act(f"/invoices/{invoice_id}/void", body, ("void", {"invoice_id": invoice_id, **body}))


def _pay(invoice_id: str, form: Submitted) -> Act:
    body = {"from_credit": form.get("from_credit") == "yes", "overdue_first": form.get("overdue_first") != "no"}
    return Act(f"/invoices/{invoice_id}/pay", body)


def _credit(invoice_id: str, form: Submitted) -> Act:
    """Take back of one line: its place and what of it."""
    line = {"position": read_whole(form.get("lines.0.position")), "amount": form.get("lines.0.amount")}
    body = {"invoice_id": invoice_id, "reason": form.get("reason"), "lines": [line]}
    return Act("/credit-notes", body, ("credit_note", body))


def _write_off(invoice_id: str, form: Submitted) -> Act:
    body = {"kind": "bad_debt", "invoice_id": invoice_id, **form.given("amount"), "reason": form.get("reason")}
    return Act("/adjustments", body, ("adjustment", body))


def _remind(invoice_id: str, _form: Submitted) -> Act:
    return Act(f"/invoices/{invoice_id}/reminders")


def _answer(_invoice_id: str, form: Submitted) -> Act:
    return Act(f"/disputes/{_id(form, 'dispute_id')}/answer", {"answer": form.get("answer")})


def _win(_invoice_id: str, form: Submitted) -> Act:
    return Act(f"/disputes/{_id(form, 'dispute_id')}/win")


def _lose(_invoice_id: str, form: Submitted) -> Act:
    return Act(f"/disputes/{_id(form, 'dispute_id')}/lose", form.given("remedy"))


def _approve(_invoice_id: str, form: Submitted) -> Act:
    return Act(f"/approvals/{_id(form, 'approval_id')}/approve")


def _reject(_invoice_id: str, form: Submitted) -> Act:
    return Act(f"/approvals/{_id(form, 'approval_id')}/reject", {"reason": form.get("reason")})


ACTS: dict[str, Callable[[str, Submitted], Act]] = {
    "finalize": _finalize,
    "redraft": _redraft,
    "void": _void,
    "pay": _pay,
    "credit-note": _credit,
    "write-off": _write_off,
    "remind": _remind,
    "dispute-answer": _answer,
    "dispute-win": _win,
    "dispute-lose": _lose,
    "approve": _approve,
    "reject": _reject,
}


def plan_act(invoice_id: str, name: str, form: Submitted) -> Act:
    """Plan what a form of an invoice's page asks for. Raises: NotFound, for an act that there is not."""
    if name not in ACTS:
        raise errors.NotFound("page", name)
    return ACTS[name](invoice_id, form)
