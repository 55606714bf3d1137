"""A job on a data set that trains nothing, as pages order it: its price is shown first, and then it is submitted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from broker.console.customer.quote_view import QuoteView, read_quote
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.page import Page
from broker.console.frame.problem import Problem
from broker.contracts import service as contracts
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class Order:
    """How far an order is: its form with the price that was asked for, or the job that was submitted."""

    form: Form
    quote: QuoteView | None = None
    job_id: str | None = None
    status: int = 200


async def take_order(page: Page, dataset_id: str, config: Mapping[str, Any], form: Submitted) -> Order:
    """Ask for the price of a job on a data set, or submit it at the price that was shown, through the API."""
    order: dict[str, Any] = {"config": config, "dataset_id": dataset_id, **form.given("contract_id")}
    if form.get("step") != "submit":
        return await _ask_price(page, order, form)
    answer = await page.ask("POST", "/v1/jobs", order | form.given("quote_id", "max_cost"), key=form.key)
    if answer.problem is not None:
        return _refuse(form, answer.problem)
    return Order(Form(), job_id=answer.body["id"])


async def _ask_price(page: Page, order: Mapping[str, Any], form: Submitted) -> Order:
    answer = await page.ask("POST", "/v1/quotes", order)
    if answer.problem is not None:
        return _refuse(form, answer.problem)
    quote = read_quote(answer.body, max_cost=read_sum(form.get("max_cost")), finish_by=None)
    return Order(Form(form.values, key=form.key), quote)


def _refuse(form: Submitted, problem: Problem) -> Order:
    """Show what was refused at the fields of the form, which have the names of the configuration's keys."""
    at_fields = {name.removeprefix("config."): message for name, message in problem.errors.items()}
    return Order(form.refused(replace(problem, errors=at_fields)), status=problem.status)


def read_sum(text: str) -> Money | None:
    """Read a sum as it was typed; what is none stays for the API to refuse. Pure."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return Money.from_decimal(value) if value.is_finite() and value > 0 else None


async def list_payers(work: Work) -> list[tuple[str, str]]:
    """List the contracts that can pay for a job now, by number and plan, where there are several to choose from."""
    found = await contracts.list_in_force(work, work.actor.customer_id or "")
    return [(each.id, f"{each.contract_number} · {each.plan.value}") for each in found] if len(found) > 1 else []
