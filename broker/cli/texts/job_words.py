"""What is to be said of a job in words: why it waits, what becomes of it at its limit, what to do next. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker.cli.output import one_line, speak
from broker.cli.texts.values import describe_ago, describe_local, describe_money, describe_span, describe_wait
from broker.cli.words import say, translate
from broker.client.objects.jobs import Job, JobDetail
from broker.client.objects.values import Money

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
SHOWN_SETTINGS = ("lora_rank", "lora_alpha", "batch_size", "epochs", "learning_rate")
STYLE_OF = {
    "running": "green",
    "dispatched": "green",
    "succeeded": "green",
    "failed": "red",
    "paused": "yellow",
    "queued": "cyan",
    "cancelled": "dim",
}
STOPS = {
    "cancel": "being cancelled",
    "pause": "pausing after a checkpoint",
    "limit": "pausing: it has reached its limit",
    "balance": "pausing: the contract's hours are gone",
    "budget": "pausing: the month's budget is gone",
    "contract_ended": "pausing: the contract has ended",
    "arrears": "pausing: the contract is in arrears, and nothing paid is left",
    "preempt": "saving to make room for another job; it goes on by itself",
    "quota": "saving, since operations lowered a limit of its queue or contract; it goes on by itself",
}
PAUSES = {
    "pause": "paused on request; resume it when you like",
    "limit": "paused at its limit; resume it with a higher --max-cost",
    "balance": "paused: the contract's hours are gone; buy more, then resume it",
    "budget": "paused: the month's budget is gone; resume it next month, or have the budget raised",
    "contract_ended": "paused: the contract has ended; submit the job again under another",
    "arrears": "paused: the contract is in arrears; it goes on by itself once the overdue invoices are paid",
}


def describe_why(job: Job, now: datetime) -> str:
    """Describe on one line why a job does not run, or when it will have ended; empty where there is nothing to say."""
    if job["error"]:
        return one_line(job["error"].get("message") or job["error"].get("code") or "")
    if job["stop_requested"]:
        return describe_stop(job["stop_requested"])
    if job["pause_reason"]:
        return translate(PAUSES.get(job["pause_reason"], f"paused: {job['pause_reason']}"))
    if job["status"] == "queued":
        return describe_queueing(job, now)
    if job["expected_end"]:
        return say("ends {wait}", wait=describe_wait(job["expected_end"], now))
    return ""


def describe_stop(reason: str) -> str:
    """Describe why a job is told to stop."""
    return translate(STOPS.get(reason, f"stopping: {reason}"))


def describe_evictions(job: JobDetail) -> str:
    """Describe the last time that a job made room for another, and how often it did; empty where it never has."""
    evictions = job.get("evictions") or []  # a broker of before tells none
    if not evictions:
        return ""
    often = "" if len(evictions) == 1 else say(" ({count} times in all)", count=len(evictions))
    last = evictions[-1]
    return f"{last['created_at'][:16]}Z: {one_line(speak(last['message'], last['message_zh']))}{often}"


def describe_sooner(job: JobDetail) -> str:
    """Describe what would start a waiting job sooner and for how much, a GPU type on each line; empty: nothing."""
    sooner = job.get("sooner") or []  # a broker of before tells none
    return "\n".join(speak(each["message"], each["message_zh"]) for each in sooner)


def describe_queueing(job: Job, now: datetime) -> str:
    """Describe why a queued job waits, and when it is expected to start."""
    pending = job["pending_reason"]
    reason = one_line(speak(pending["message"], pending.get("message_zh"))) if pending else say("Not planned yet.")
    if job["expected_start"] is None:
        return reason
    return say("{reason} Starts about {time}.", reason=reason, time=describe_local(job["expected_start"], now))


def describe_state(job: Job, now: datetime) -> str:
    """Describe since when a job is in its status, and how long it took."""
    if job["finished_at"]:
        span = describe_span(job["started_at"], job["finished_at"], now) if job["started_at"] else ""
        took = say(", after {span}", span=span) if span else ""
        return f"{describe_ago(job['finished_at'], now)}{took}"
    if job["status"] == "running" and job["started_at"]:
        return say("for {span}", span=describe_span(job["started_at"], None, now))
    return say("(submitted {ago})", ago=describe_ago(job["created_at"], now))


def describe_cost(job: Job) -> str:
    """Describe what a job has cost, for good or so far."""
    return describe_money(job["cost"]) + ("" if job["status"] in TERMINAL else say(" so far"))


def describe_limit(job: Job) -> str:
    """Describe what a job may cost at most, and what happens then."""
    if job["cap"]:
        cap = say("you are never charged more than {sum} (its quote)", sum=describe_money(job["cap"]))
        first = job["limit"] if job["limit"] and _is_less(job["limit"], job["cap"]) else None
        return cap + say("; it pauses at {sum}", sum=describe_money(first)) if first else cap
    if job["limit"]:
        told = "pauses at {sum}, until you resume it with a higher --max-cost"
        return say(told, sum=describe_money(job["limit"]))
    return say("none: it was submitted without a quote and without --max-cost")


def _is_less(money: Money, than: Money) -> bool:
    return Decimal(money["amount"]) < Decimal(than["amount"])


def describe_settings(config: Mapping[str, Any]) -> str:
    """Describe the settings that people compare; the rest is in the object."""
    return ", ".join(f"{name} {one_line(config[name])}" for name in SHOWN_SETTINGS if name in config)


def list_next_commands(job: Job) -> list[str]:
    """List the commands that fit a job now."""
    job_id = job["id"]
    match job["status"]:
        case "queued" | "dispatched" | "running":
            return [f"broker jobs watch {job_id}", f"broker jobs pause {job_id}", f"broker jobs cancel {job_id}"]
        case "paused":
            more = " --max-cost YUAN" if job["pause_reason"] == "limit" else ""
            return [f"broker jobs resume {job_id}{more}", f"broker jobs cancel {job_id}"]
        case "succeeded" if job["adapter_id"]:
            return [f"broker jobs download {job_id}", f"broker adapters show {job['adapter_id']}"]
    return [f"broker jobs log {job_id}"]
