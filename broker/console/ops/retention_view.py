"""Rules of retention as ops sees and sets them: which a form changes, and what the next sweep would remove. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.console.frame.forms import Submitted
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.retention.routes import RuleOut

# What each rule keeps, and its unit.
RULES: Mapping[str, tuple[str, str]] = {
    "kept_checkpoints": (N_("Checkpoints of a job that is not over: so many, the most advanced"), ""),
    "ended_job_days": (N_("Checkpoints of jobs that are over"), N_("days")),
    "kept_adapter_versions": (N_("Versions of an adapter, where its customer has no rule: the newest; 0: all"), ""),
    "orphan_hours": (N_("Files that nothing names, such as uploads that broke off"), N_("hours")),
    "run_work_hours": (N_("What an ended run worked on"), N_("hours")),
    "run_log_days": (N_("Logs of ended runs"), N_("days")),
    "done_message_days": (N_("Done messages to engines"), N_("days")),
    "recorded_cycle_days": (N_("What cycles were planned from, to be replayed"), N_("days")),
    "recorded_cycle_mib": (N_("All of that together, at most"), "MiB"),
    "wait_cause_days": (N_("For what jobs waited"), N_("days")),
}
# What a sweep removes, by the word of the API.
KINDS = {
    "checkpoints": N_("checkpoints"),
    "adapters": N_("versions of adapters"),
    "messages": N_("done messages"),
    "uploads": N_("uploads that broke off"),
    "run_logs": N_("logs of runs"),
    "cycles": N_("recorded cycles"),
    "wait_causes": N_("causes of waiting"),
    "files": N_("files that no row names"),
    "run_folders": N_("folders of ended runs"),
}
RULE_COLUMNS = (
    Column(N_("What is kept")),
    Column(N_("So long, or so many")),
    Column(N_("Operator's setting"), is_number=True),
    Column(N_("Set by")),
)
REMOVED_COLUMNS = (
    Column(N_("What goes")),
    Column(N_("How many"), is_number=True),
    Column(N_("Comes free"), is_number=True),
)


@dataclass(frozen=True)
class Removal:
    """What goes of one kind; `is_more`: there is more of it than was looked at."""

    kind: str
    count: int
    size_bytes: int
    is_more: bool = False


def read_rules(body: Mapping[str, Any]) -> list[RuleOut]:
    """Read the rules off the API's answer, in the order of the page; those that it does not know come last."""
    order = list(RULES)
    rules = [RuleOut.model_validate(each) for each in body["rules"]]
    return sorted(rules, key=lambda rule: order.index(rule.name) if rule.name in RULES else len(order))


def read_removals(told: Sequence[Mapping[str, Any]]) -> list[Removal]:
    """Read what went, or would go; what nothing goes of is left out."""
    all_kinds = (Removal(each["kind"], each["count"], each["size_bytes"], each["is_more"]) for each in told)
    return [each for each in all_kinds if each.count or each.size_bytes]


def read_changes(form: Submitted, rules: Sequence[RuleOut]) -> dict[str, Any]:
    """Read which rules a form changes: what is emptied is the operator's setting again, what is as it was stays so."""
    changes: dict[str, Any] = {}
    for rule in rules:
        if rule.name not in form.values:
            continue
        value = read_value(form.get(rule.name))
        if value != rule.value and not (value is None and rule.changed_by is None):
            changes[rule.name] = value
    return changes


def read_value(text: str) -> float | str | None:
    """Read a number as it was typed; empty: none. What is no number is left to the API to refuse."""
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def write_word(changes: Mapping[str, Any]) -> str:
    """Write changes as the word by which a form says for which of them it has seen the preview."""
    return json.dumps(changes, sort_keys=True)


def write_value(value: float) -> str:
    """Write a rule's number as it is typed: 3, not 3.0."""
    return f"{value:g}" if abs(value) < 1e6 and value != int(value) else str(int(value))
