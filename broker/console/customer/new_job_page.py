"""New job: five fields, the rest folded; the price follows what is filled in, and the button says what it reserves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse

from broker.adapters import service as adapters
from broker.base_models import service as base_models
from broker.base_models.model import ListedModel
from broker.console.customer.new_job_form import NewJob, fill_usual, go_on_from, open_job, open_template
from broker.console.customer.presets import Preset, list_presets
from broker.console.customer.quote_view import QuoteView, read_quote
from broker.console.customer.trackers import TRACKERS
from broker.console.customer.training_fields import FieldGroup, list_groups
from broker.console.frame.forms import Form
from broker.console.frame.newest import fetch_newest
from broker.console.frame.page import CustomerPage, Page, page_router
from broker.console.frame.problem import Problem
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.customer_secrets.model import SecretKind
from broker.customer_secrets.service import select_secrets
from broker.datasets import service as datasets
from broker.datasets.service import Dataset
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.jobs.schemas import JobOut
from broker.templates import service as templates
from broker.templates.service import Template, TemplateVersion
from broker.work import Work

router = page_router("/jobs")

MOST_CHOICES = 200
COUNTING = "/problems/tokens-being-counted"


@dataclass(frozen=True)
class Choices:
    """What the five basic fields are chosen from."""

    models: Sequence[ListedModel]
    data: Sequence[Dataset]
    contracts: Sequence[ContractTerms]
    projects: Mapping[str, str]
    adapters: Sequence[Any]
    templates: Sequence[Template]
    trackers: Sequence[Any]

    def is_text(self, base_model: str) -> bool:
        found = [each for each in self.models if base_model in {each.profile.name, *each.profile.aliases}]
        return found[0].profile.is_text if found else True

    def choose_model(self, dataset_id: str) -> str:
        """Choose the model to begin with: one that learns from the data set, or from the newest one there is."""
        learnt = [each for each in self.data if dataset_id in {"", each.id}]
        is_text = not learnt or learnt[0].kind == "text"
        fitting = [each for each in self.models if each.profile.is_text == is_text] or self.models
        return fitting[0].profile.name if fitting else ""

    def list_data(self, *, is_text: bool) -> list[Dataset]:
        """List the data sets that a base model of this kind learns from."""
        kind = "text" if is_text else "images"
        return [each for each in self.data if each.kind == kind]

    def list_starts(self, base_model: str) -> list[tuple[str, str]]:
        """List the adapters that a job on a base model can go on from, each with its rank."""
        fitting = [each for each in self.adapters if each.base_model == base_model]
        return [(each.id, f"{each.name} v{each.version} · r{each.config.get('lora_rank', 8)}") for each in fitting]


@dataclass(frozen=True)
class NewJobView:
    """The page as it is shown. `quote` is None before the first price, and where none could be made."""

    choices: Choices
    is_text: bool
    presets: Sequence[Preset]
    groups: Sequence[FieldGroup]
    usual: Mapping[str, str]
    quote: QuoteView | None = None
    quote_problem: Problem | None = None
    meant: tuple[Template, TemplateVersion] | None = None

    @property
    def data_options(self) -> list[tuple[str, str]]:
        """List the data sets that the chosen model learns from, with how much there is of each."""
        return [
            (each.id, f"{each.name} · {each.usable_rows:,}") for each in self.choices.list_data(is_text=self.is_text)
        ]

    @property
    def tracker_options(self) -> list[tuple[str, str]]:
        """List the trackers whose keys are kept, by the names of their secrets."""
        return [(each.name, f"{each.name} · {TRACKERS[SecretKind(each.kind)]}") for each in self.choices.trackers]

    @property
    def contract_options(self) -> list[tuple[str, str]]:
        return [(each.id, f"{each.contract_number} · {each.plan.value}") for each in self.choices.contracts]

    def unchecked(self, dataset_id: str) -> bool:
        """Tell whether a data set has only the report of its upload, which opens no picture."""
        return any(each.id == dataset_id and each.checked_at is None for each in self.choices.data)

    def opens_more(self, form: Form) -> bool:
        """Tell whether the folded fields are open: something is written there, or is wrong there."""
        errors = {} if form.problem is None else form.problem.errors
        return any(
            name.startswith(("config.", "tracker"))
            for name in (*errors, *(n for n, value in form.values.items() if value))
        )

    @property
    def is_counting(self) -> bool:
        """Tell whether the data are being counted: the price comes by itself."""
        return self.quote_problem is not None and self.quote_problem.type == COUNTING


@router.get("/new")
async def show_new_job(
    page: CustomerPage,
    like: str | None = None,
    continue_from: str | None = None,
    template: str | None = None,
    base_model: str = "",
    dataset_id: str = "",
) -> HTMLResponse:
    """Show the form: empty, with what a job that there was (`like`) or a template says, or to go on from an adapter."""
    work = await page.begin()
    values = {"base_model": base_model, "dataset_id": dataset_id}
    if like is not None:
        job = JobOut.of(await jobs.get_job(work, like), page.now)
        values = open_job(job.model_dump(mode="json"))
    if continue_from is not None:
        adapter = await adapters.get_adapter(work, continue_from)
        job = JobOut.of(await jobs.get_job(work, adapter.job_id), page.now)
        values = go_on_from(job.model_dump(mode="json"), adapter.id)
    if template is not None:
        meant = await templates.get_template(work, template)
        said = await templates.get_version(work, meant)
        opened = open_template(said.config, f"{meant.id}@{said.version}", meant.project_id)
        values = {**opened, "dataset_id": dataset_id}
    return await _show(page, work, Form(values))


@router.post("/new")
async def send_new_job(page: CustomerPage) -> Response:
    """Show the fields or the price of what is filled in, or submit it; a script asks for the former by itself."""
    form = await page.read_form()
    step = form.get("step")
    if step == "fields":
        return await _show(page, await page.begin(), Form(form.values, key=form.key))
    is_text = await _find_kind(page, form.get("base_model"))
    job = NewJob(form.values, is_text, page.caller.services.settings.time_zone)
    if step == "quote":
        return await _show_quote(page, job, Form(form.values, key=form.key))
    answer = await page.ask("POST", "/v1/jobs", job.write_job(), key=form.key)
    if answer.problem is not None:
        return await _show(page, await page.begin(), form.refused(answer.problem), status=answer.status)
    return page.go_to(f"/console/jobs/{answer.body['id']}")


async def _find_kind(page: Page, base_model: str) -> bool:
    async with page.caller.look() as work:
        profile = (await base_models.read_offer(work)).find(base_model)
    return profile is None or profile.is_text


async def _show_quote(page: Page, job: NewJob, form: Form) -> HTMLResponse:
    if not (job.get("base_model") and job.get("dataset_id")):
        return await _show(page, await page.begin(), form)
    answer = await page.ask("POST", "/v1/quotes", job.write_quote())
    if answer.problem is not None:
        shown = Form(form.values, answer.problem, form.key)
        return await _show(page, await page.begin(), shown, quote_problem=answer.problem)
    quote = read_quote(answer.body, max_cost=job.max_cost, finish_by=job.finish_by, chosen=job.get("sku"))
    return await _show(page, await page.begin(), form, quote=quote)


async def _show(
    page: Page,
    work: Work,
    form: Form,
    *,
    status: int = 200,
    quote: QuoteView | None = None,
    quote_problem: Problem | None = None,
) -> HTMLResponse:
    choices = await _read_choices(work)
    values: dict[str, Any] = dict(form.values)
    values["base_model"] = values.get("base_model") or choices.choose_model(values.get("dataset_id", ""))
    is_text = choices.is_text(values.get("base_model", ""))
    meant = await _find_template(work, form.get("template"))
    view = NewJobView(
        choices=choices,
        is_text=is_text,
        presets=list_presets(is_text=is_text),
        groups=list_groups(is_text=is_text),
        usual=fill_usual(values, None if meant is None else meant[1].config, is_text=is_text),
        quote=quote,
        quote_problem=quote_problem,
        meant=meant,
    )
    return page.show("customer/new_job.html", status=status, view=view, form=Form(values, form.problem, form.key))


async def _find_template(work: Work, reference: str) -> tuple[Template, TemplateVersion] | None:
    """Find the template that the job is made from, in the version of it that the form was opened with."""
    template_id, _at, number = reference.partition("@")
    if not number.isdecimal():
        return None
    template = await templates.get_template(work, template_id)
    return template, await templates.get_version(work, template, int(number))


async def _read_choices(work: Work) -> Choices:
    customer_id = work.actor.customer_id or ""
    models = [each for each in await base_models.list_models_now(work) if each.reason is None]
    newest = datasets.select_datasets(customer_id=customer_id).order_by(Dataset.id.desc()).limit(MOST_CHOICES)
    projects = identity.select_projects(customer_id=customer_id).limit(MOST_CHOICES)
    usable = templates.select_templates(archived=False, customer_id=customer_id)
    secrets, _after = await fetch_newest(work, select_secrets(customer_id=customer_id), limit=MOST_CHOICES)
    made, _after = await fetch_newest(work, adapters.select_finished(customer_id=customer_id), limit=MOST_CHOICES)
    return Choices(
        models=models,
        data=(await work.session.scalars(newest)).all(),
        contracts=await contracts.list_in_force(work, customer_id),
        projects={row.id: row.name for row in await work.session.scalars(projects)},
        adapters=made,
        templates=(await work.session.scalars(usable.order_by(Template.name).limit(MOST_CHOICES))).all(),
        trackers=secrets,
    )
