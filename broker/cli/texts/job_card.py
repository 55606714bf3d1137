"""One job as a card: where it stands, what it costs, what it has made, and what to do next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from broker.cli.output import clean, one_line, speak
from broker.cli.texts.columns import GAP, fold, make_card
from broker.cli.texts.job_words import (
    STYLE_OF,
    describe_cost,
    describe_evictions,
    describe_limit,
    describe_settings,
    describe_sooner,
    describe_state,
    describe_why,
    list_next_commands,
)
from broker.cli.texts.values import describe_count, describe_local, describe_money, describe_span, describe_sums
from broker.cli.words import say, translate
from broker.client.objects.contracts import Contract
from broker.client.objects.jobs import Job, JobDetail, JobEvent, Run
from broker.client.objects.quotes import PlanPrice

BAR_CELLS = 20


@dataclass(frozen=True)
class JobView:
    """A job with what belongs to it, as far as the key may see it."""

    job: JobDetail
    runs: Sequence[Run] = ()
    events: Sequence[JobEvent] = ()
    contract: Contract | None = None
    quoted: PlanPrice | None = None


def make_job_card(view: JobView, now: datetime, width: int) -> list[Text]:
    """Make the lines of a card."""
    job = view.job
    lines = [_make_title(job), *_make_status(job, now, width), Text()]
    lines += make_card([*_tell_progress(job), *_tell_money(view), *_tell_parts(view, now)], width)
    samples = [event for event in view.events if event["kind"] == "sampled"]
    if samples:
        lines += [Text(), Text("  " + say("Samples"), "dim"), *_make_samples(samples, width)]
    commands = list_next_commands(job)
    return [*lines, Text(), Text("  " + say("Next"), "dim"), *(Text(f"    {command}") for command in commands)]


def _make_title(job: Job) -> Text:
    name = one_line(job["name"] or "")
    return Text(job["id"], "bold").append(f"  {name}" if name else "", "")


def _make_status(job: JobDetail, now: datetime, width: int) -> list[Text]:
    state = Text(translate(job["status"]), STYLE_OF.get(job["status"], "")).append(f" {describe_state(job, now)}", "")
    why = describe_why(job, now)
    sooner = describe_sooner(job).splitlines()
    return [state, *(Text(line) for line in (fold(why, width) if why else [])), *(Text(f"  {line}") for line in sooner)]


def _tell_progress(job: Job) -> list[tuple[str, str]]:
    progress, estimate = job["progress"], job["estimate"]
    if not progress:
        steps = describe_count(estimate["steps"], "step") if estimate else ""
        return [("Progress", say("{steps} to go", steps=steps) if steps else "")]
    step, total = progress["step"], max(1, progress["total_steps"])
    done = min(BAR_CELLS, BAR_CELLS * step // total)
    bar, place = "█" * done + "░" * (BAR_CELLS - done), f"{step}/{progress['total_steps']}"
    told = f"{bar} {say('{place} steps', place=place)}"
    epoch = say(", epoch {epoch}", epoch=progress["epoch"]) if progress.get("epoch") else ""
    losses = [
        f"{translate(word)} {progress[name]:.3f}"
        for name, word in (("loss", "training"), ("validation_loss", "validation"))
        if progress.get(name) is not None
    ]
    return [("Progress", f"{told}{epoch}"), ("Loss", ", ".join(losses))]


def _tell_money(view: JobView) -> list[tuple[str, str]]:
    job = view.job
    quoted = describe_sums(view.quoted["total"], view.quoted["total_p90"]) if view.quoted else ""
    return [
        ("Cost", describe_cost(job) + (say("; quoted {sum}", sum=quoted) if quoted else "")),
        ("Limit", describe_limit(job)),
        ("Made room", describe_evictions(job)),
        ("On us", "; ".join([describe_money(job["borne"]), *(lost["explanation"] for lost in job["lost_work"])])),
        ("Used", _describe_used(job)),
    ]


def _describe_used(job: JobDetail) -> str:
    """Describe what a job has used; where the house bears some of it, what is charged and what is borne."""
    seconds = describe_count(job["used_gpu_seconds"], "GPU-second")
    used = say("{hours} GPU-hours", hours=job["used_gpu_hours"]) + f" ({seconds})"
    told = f"{used}, {describe_count(job['used_tokens'], 'token')}"
    if not (job["borne_gpu_seconds"] or job["borne_tokens"]):
        return told
    charged = _describe_both(job["charged_gpu_seconds"], job["charged_tokens"])
    borne = _describe_both(job["borne_gpu_seconds"], job["borne_tokens"])
    return f"{told}: " + say("{charged} charged, {borne} on us", charged=charged, borne=borne)


def _describe_both(gpu_seconds: int, tokens: int) -> str:
    both = describe_count(gpu_seconds, "GPU-second"), describe_count(tokens, "token")
    return say("{seconds} and {tokens}", seconds=both[0], tokens=both[1])


def _tell_parts(view: JobView, now: datetime) -> list[tuple[str, str]]:
    job, contract = view.job, view.contract
    plan = f" ({contract['plan']})" if contract else ""
    estimate, finish_by = job["estimate"], job.get("finish_by")  # a broker of before has no date
    return [
        ("Notice", "\n".join(one_line(speak(each["message"], each["message_zh"])) for each in job.get("notices", ()))),
        ("Attempts", "; ".join(_describe_run(run, now) for run in view.runs)),
        ("Model", say("{model} on {type}", model=estimate["base_model"], type=estimate["sku"]) if estimate else ""),
        ("May run on", _describe_types(job)),
        ("Finish by", "" if finish_by is None else describe_local(finish_by, now)),
        ("Settings", describe_settings(job["config"])),
        ("Data", job["dataset_id"]),
        ("Contract", f"{job['contract_id']}{plan}"),
        ("Queue", job["queue"] + _describe_priority(job)),
        ("Project", job["project_id"] or ""),
        ("Labels", ", ".join(f"{name}={value}" for name, value in sorted(job["labels"].items()))),
        ("Adapter", job["adapter_id"] or ""),
    ]


def _describe_priority(job: Job) -> str:
    own = job.get("priority")  # a broker of before has none
    return "" if own is None else say(", with a priority of its own: {priority}", priority=own)


def _describe_types(job: Job) -> str:
    """Describe the GPU types that a job may run on, where there are several."""
    types = job.get("gpu_types") or []  # a broker of before has none
    if len(types) < 2:
        return ""
    told = "{type} ({sum} at p90)"
    names = ", ".join(say(told, type=each["sku"], sum=describe_money(each["price"])) for each in types)
    return f"{names}; {say('the {wish} first', wish=translate(job['prefer']))}"


def _describe_run(run: Run, now: datetime) -> str:
    cause = run["cause"]
    why = f" ({cause.replace('_', ' ')})" if cause and cause != run["status"] else ""
    took = f", {describe_span(run['claimed_at'], run['ended_at'], now)}" if run["claimed_at"] else ""
    return f"{run['attempt']} {translate(run['status'])}{why}{took}"


def _make_samples(samples: Sequence[JobEvent], width: int) -> list[Text]:
    lines: list[Text] = []
    for sample in samples:
        data = sample["data"]
        head = say("step {step}: {prompt}", step=data.get("step"), prompt=clean(data.get("prompt", "")))
        lines += _indent(head, 2 * GAP, width)
        text = say("(a picture; --json has it)") if data.get("image") else clean(data.get("text", ""))
        lines += _indent(text, 3 * GAP, width)
    return lines


def _indent(text: str, indent: int, width: int) -> list[Text]:
    return [Text(" " * indent + line) for line in fold(text, width - indent)]
