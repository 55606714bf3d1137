"""How long what is kept: rules that ops sets, and what a sweep by them would remove."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Response
from pydantic import BaseModel, Field, model_validator

from broker.config import Settings
from broker.http.edge import OpsCaller, OpsWork, feature_router
from broker.http.shapes import VERSION_RESPONSES, RequestBody
from broker.http.versions import ETAG, SeenVersion, make_etag
from broker.retention.changing import Foreseen, change_rules, foresee_sweep, list_rules, list_set_by_ops
from broker.retention.model import Removed
from broker.retention.rules import RULES
from broker.retention.service import read_swept
from broker.retention.tables import RetentionRule
from broker.system import System
from broker.work import Work

router = feature_router("/retention", "operations")

Days = Annotated[float | None, Field(default=None, ge=0, le=36_500, description="In days.", examples=[7])]
Hours = Annotated[float | None, Field(default=None, ge=0, le=876_000, description="In hours.", examples=[48])]
SETTINGS = Settings.model_fields


class RetentionIn(RequestBody):
    """Rules to set; one that is null is the operator's setting (`BROKER_…`) again, one that is left out stays."""

    kept_checkpoints: int | None = Field(
        default=None, ge=1, le=10_000, description="Of each job that is not over, the most advanced.", examples=[3]
    )
    kept_adapter_versions: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="Of each name of adapters, the newest, where its customer has no rule; 0: all.",
        examples=[10],
    )
    ended_job_days: Days
    orphan_hours: float | None = Field(
        default=None,
        ge=1,
        le=876_000,
        description="In hours; at least one, since what is being received has no row yet.",
        examples=[48],
    )
    run_work_hours: Hours
    run_log_days: Days
    done_message_days: Days
    recorded_cycle_days: Days
    recorded_cycle_mib: int | None = Field(
        default=None, ge=64, le=10**9, description="Most MiB of recorded cycles.", examples=[2048]
    )
    wait_cause_days: Days

    @property
    def changes(self) -> dict[str, float | None]:
        return {name: getattr(self, name) for name in RULES if name in self.model_fields_set}


class RetentionChangeIn(RetentionIn):
    """Rules to set, at least one."""

    @model_validator(mode="after")
    def _require_a_change(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no rule to change; send one or more of them")
        return self


class RuleOut(BaseModel):
    name: str = Field(description="The rule, which is a setting of the operator, too.", examples=["kept_checkpoints"])
    value: float = Field(description="What holds; the name says the unit.", examples=[3])
    setting: float = Field(description="The operator's own setting.", examples=[3])
    description: str = Field(description="What stays so long.", examples=["Of each job, the most advanced."])
    changed_by: str | None = Field(default=None, description="Who set it; null: the setting holds.", examples=[None])
    changed_at: datetime | None = Field(default=None, description="When.", examples=["2026-11-24T10:00:00Z"])


class RemovedOut(BaseModel):
    kind: str = Field(description="What it is.", examples=["checkpoints"])
    count: int = Field(description="How many.", examples=[12])
    size_bytes: int = Field(description="Bytes of files that came free, as far as known.", examples=[1048576])
    is_more: bool = Field(default=False, description="There is more of it than was looked at.", examples=[False])


class RetentionOut(BaseModel):
    object: Literal["retention"] = Field(default="retention", description="Kind of object.", examples=["retention"])
    rules: list[RuleOut] = Field(description="Every rule.", examples=[[]])
    swept: list[RemovedOut] = Field(description="What was removed so far, by kind.", examples=[[]])

    @classmethod
    def of(cls, settings: Settings, changed: Mapping[str, RetentionRule], swept: Mapping[str, Removed]) -> Self:
        return cls(
            rules=[_tell_rule(name, settings, changed.get(name)) for name in RULES],
            swept=[_tell_removed(kind, removed) for kind, removed in sorted(swept.items())],
        )


def _tell_rule(name: str, settings: Settings, rule: RetentionRule | None) -> RuleOut:
    setting = float(getattr(settings, name))
    told = {"name": name, "setting": setting, "description": SETTINGS[name].description or ""}
    if rule is None:
        return RuleOut(value=setting, **told)
    return RuleOut(value=rule.value, changed_by=rule.changed_by, changed_at=rule.changed_at, **told)


def _tell_removed(kind: str, removed: Removed, *, is_more: bool = False) -> RemovedOut:
    return RemovedOut(kind=kind, count=removed.count, size_bytes=removed.size_bytes, is_more=is_more)


class ForeseenOut(BaseModel):
    object: Literal["retention_preview"] = Field(
        default="retention_preview", description="Kind of object.", examples=["retention_preview"]
    )
    removed: list[RemovedOut] = Field(description="What the next sweep would remove, by kind.", examples=[[]])

    @classmethod
    def of(cls, foreseen: list[Foreseen]) -> Self:
        return cls(removed=[_tell_removed(each.kind, each.removed, is_more=each.is_more) for each in foreseen])


@router.get("")
async def get_retention(work: OpsWork, response: Response) -> RetentionOut:
    """Tell how long what is kept, and what was removed so far; its `ETag` is of the rules alone."""
    return await _tell(work, response)


@router.patch("", responses=VERSION_RESPONSES)
async def change_retention(
    work: OpsWork, response: Response, body: RetentionChangeIn, seen: SeenVersion = None
) -> RetentionOut:
    """Change rules of retention, for the next sweep on; try them by `POST /v1/retention/preview` first."""
    await change_rules(work, body.changes, seen)
    return await _tell(work, response)


@router.post("/preview")
async def preview_retention(caller: OpsCaller, body: RetentionIn) -> ForeseenOut:
    """Tell what the next sweep would remove by these rules, and remove nothing."""
    return ForeseenOut.of(await foresee_sweep(System(caller.database, caller.services), body.changes))


async def _tell(work: Work, response: Response) -> RetentionOut:
    changed = {rule.name: rule for rule in await list_rules(work)}
    response.headers[ETAG] = make_etag(list_set_by_ops({name: rule.value for name, rule in changed.items()}))
    return RetentionOut.of(work.settings, changed, await read_swept(work))
