"""What is filled in of a new job: read into what the API takes, or out of a job that there was. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from broker.console.customer.presets import NO_PRESET, find_preset
from broker.console.customer.training_fields import PREFIX, read_config, write_config, write_value
from pricing.money import AmountInvalid, Money

LOCAL_FORMAT = "%Y-%m-%dT%H:%M"
# Which tracker of the customer's own the runs tell: its secret, and the project there.
TRACKER, TRACKER_PROJECT = "tracker.secret", "tracker.project"
# What goes to the API as it is written, of a quote and of a job.
ORDERED = ("contract_id", "project_id", "template")


@dataclass(frozen=True)
class NewJob:
    """A new job as it is filled in, on a base model that learns from text or from pictures."""

    values: Mapping[str, str]
    is_text: bool
    time_zone: str

    def get(self, name: str) -> str:
        return self.values.get(name, "").strip()

    @property
    def config(self) -> dict[str, Any]:
        """The configuration: what is written wins over the preset, and that over what is so by default.

        A template takes the place of a preset; what it has as it is written is no change of it.
        """
        preset = {} if self.get("template") else find_preset(self.get("preset"), is_text=self.is_text).config
        own = read_config(self.values, is_text=self.is_text)
        start = {"init_from": self.get("init_from")} if self.get("init_from") else {}
        return {"base_model": self.get("base_model"), **preset, **own, **start}

    @property
    def max_cost(self) -> Money | None:
        """The budget cap as money; None where there is none, or it is no amount, which the API will say."""
        try:
            return Money.from_decimal(Decimal(self.get("max_cost"))) if self.get("max_cost") else None
        except (InvalidOperation, AmountInvalid, ValueError):
            return None

    @property
    def finish_by(self) -> datetime | None:
        """The deadline; it is written in the time of the house."""
        try:
            written = datetime.strptime(self.get("finish_by"), LOCAL_FORMAT)  # noqa: DTZ007 (the house's, below)
        except ValueError:
            return None
        return written.replace(tzinfo=ZoneInfo(self.time_zone))

    def write_quote(self) -> dict[str, Any]:
        """Write what `POST /v1/quotes` is asked."""
        asked = {name: self.get(name) for name in (*ORDERED, "max_cost") if self.get(name)}
        return {"config": self.config, "dataset_id": self.get("dataset_id"), **asked}

    def write_job(self) -> dict[str, Any]:
        """Write what `POST /v1/jobs` is asked: under the quote that was shown, where one was."""
        asked: dict[str, Any] = self.write_quote()
        asked |= {name: self.get(name) for name in ("quote_id", "name") if self.get(name)}
        if self.get("sku"):
            asked["gpu_types"] = [self.get("sku")]
        if self.get(TRACKER):
            asked["tracker"] = {"secret": self.get(TRACKER), "project": self.get(TRACKER_PROJECT) or None}
        if self.get("finish_by"):
            asked["finish_by"] = self.get("finish_by") if self.finish_by is None else self.finish_by.isoformat()
        return asked


def open_job(job: Mapping[str, Any]) -> dict[str, str]:
    """Open a job's parameters in the form: its keys and no preset, so that it is the same job again."""
    values = {"base_model": job["config"].get("base_model", ""), "dataset_id": job["dataset_id"], "preset": NO_PRESET}
    for name in ("contract_id", "project_id", "name"):
        values[name] = job.get(name) or ""
    tracker = job.get("tracker") or {}
    values |= {TRACKER: tracker.get("secret") or "", TRACKER_PROJECT: tracker.get("project") or ""}
    values["init_from"] = job["config"].get("init_from") or ""
    return values | write_config(job["config"])


def open_template(config: Mapping[str, Any], reference: str, project_id: str) -> dict[str, str]:
    """Open what a version of a template says, which is referred to as `tpl_01k@3`."""
    values = {"base_model": config.get("base_model", ""), "template": reference, "project_id": project_id}
    return values | write_config(config)


def go_on_from(job: Mapping[str, Any], adapter_id: str) -> dict[str, str]:
    """Open the parameters of the job that made an adapter, to go on from that: rank and modules stay as they were."""
    return open_job(job) | {"init_from": adapter_id, "name": ""}


def fill_usual(values: Mapping[str, str], template: Mapping[str, Any] | None, *, is_text: bool) -> dict[str, str]:
    """Tell what keys that are not written are: by the template's configuration where there is one, else the preset."""
    config = find_preset(values.get("preset", ""), is_text=is_text).config if template is None else template
    return {PREFIX + key: write_value(value) for key, value in config.items()}
