"""What stands between a job that succeeded and its promotion: requirements on what it came to, and servers that serve.

`broker submit --wait --require … --promote …` is a step of a pipeline: its exit codes say what came of it
(docs/command-line.md).
"""

import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from broker.cli.failures import ExitCode
from broker.cli.output import one_line
from broker.cli.words import say
from broker.client.errors import ApiError, NotReachable
from broker.client.objects.jobs import Adapter
from broker.client.objects.promotions import Promotion
from broker.client.typed import BrokerClient

Require = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="CONDITION",
        help="What it must come to, such as 'final_loss<1.2' or 'cost<=50'; repeat it. Exit code 6 where it does not.",
    ),
]
Promote = Annotated[
    str | None,
    typer.Option("--promote", metavar="STAGE", help="Promote its adapter: test or production; waits for its end."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why it is promoted; default: which job made it.")
]
LiveWithin = Annotated[
    int,
    typer.Option(
        "--live-within", metavar="SECONDS", min=0, help="So long servers of the stage may take; exit code 7 beyond."
    ),
]
USUALLY_LIVE_WITHIN = 300
POLL_SECONDS = 1.0
OPERATORS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"\s*([a-z_]+)\s*(<=|>=|==|<|>)\s*(\S+)\s*")
METRICS = ("final_loss", "validation_loss", "steps", "tokens", "gpu_hours")
KNOWN = (*METRICS, "cost", "size_bytes")


@dataclass(frozen=True)
class Condition:
    """A requirement on what a training came to; money is in yuan."""

    name: str
    sign: str
    bound: Decimal

    @classmethod
    def read(cls, typed: str) -> "Condition":
        """Read a requirement as it is typed. Raises: typer.BadParameter."""
        match = CONDITION.fullmatch(typed)
        if match is None:
            raise typer.BadParameter(
                say("{typed} is no condition; write it like final_loss<1.2", typed=repr(typed)), param_hint="--require"
            )
        name, sign, bound = match.groups()
        if name not in KNOWN:
            raise typer.BadParameter(
                say("{name} is none of {known}", name=name, known=", ".join(KNOWN)), param_hint="--require"
            )
        try:
            value = Decimal(bound)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            raise typer.BadParameter(say("{bound} is no number", bound=repr(bound)), param_hint="--require")
        return cls(name, sign, value)

    def find_fault(self, adapter: Mapping[str, Any]) -> str | None:
        """Find what is wrong with an adapter by this requirement; None where it is met. What is unknown meets none."""
        value = find_value(self.name, adapter)
        if value is None:
            return say("{name} is not known", name=self.name)
        if OPERATORS[self.sign](value, self.bound):
            return None
        return say(
            "{name} is {value}, not {sign} {bound}",
            name=self.name,
            value=f"{value.normalize():f}",
            sign=self.sign,
            bound=f"{self.bound.normalize():f}",
        )


def find_value(name: str, adapter: Mapping[str, Any]) -> Decimal | None:
    """Find what an adapter came to, by the name of the measure."""
    if name == "cost":
        cost = adapter.get("cost")
        return None if cost is None else Decimal(cost["amount"])
    value = adapter.get(name) if name == "size_bytes" else (adapter.get("metrics") or {}).get(name)
    return None if value is None else Decimal(str(value))


@dataclass(frozen=True)
class Gate:
    """What is asked of a job that succeeds, and what becomes of its adapter then."""

    conditions: Sequence[Condition]
    stage: str | None
    reason: str | None
    live_within: int

    @classmethod
    def read(cls, require: Sequence[str] | None, stage: str | None, reason: str | None, live_within: int) -> "Gate":
        """Read what was typed, before anything is submitted. Raises: typer.BadParameter."""
        if stage not in {None, "test", "production"}:
            raise typer.BadParameter(
                say("{stage} is none of test, production", stage=repr(stage)), param_hint="--promote"
            )
        return cls([Condition.read(each) for each in require or ()], stage, reason, live_within)

    @property
    def waits(self) -> bool:
        """Tell whether the end of the job must be waited for."""
        return bool(self.conditions) or self.stage is not None

    def pass_through(self, client: BrokerClient, job_id: str, console: Console) -> Promotion | None:
        """Hold an adapter against the requirements, then promote it, and wait until servers serve it.

        Raises: typer.Exit, with the exit code that says what came of it; ApiError, NotReachable.
        """
        adapter = client.get_adapter(str(client.get_job(job_id)["adapter_id"]))
        faults = [fault for each in self.conditions if (fault := each.find_fault(adapter)) is not None]
        for fault in faults:
            console.print(say("required, and not so: {fault}", fault=fault), soft_wrap=True)
        if faults:
            raise typer.Exit(ExitCode.NOT_MET)
        if self.stage is None:
            return None
        promotion = self._promote(client, adapter)
        console.print(
            say(
                "{adapter} is what {stage} has now ({id})", adapter=_name(adapter), stage=self.stage, id=promotion["id"]
            ),
            soft_wrap=True,
        )
        return self._wait(client, promotion, console)

    def _promote(self, client: BrokerClient, adapter: Adapter) -> Promotion:
        reason = self.reason or f"submitted to be promoted, made by {adapter['job_id']}"
        body = {"stage": self.stage, "reason": reason}
        return cast("Promotion", client.post(f"/adapters/{adapter['id']}/promote", body))

    def _wait(self, client: BrokerClient, promotion: Promotion, console: Console) -> Promotion:
        """Wait until all servers of the stage serve it. Raises: typer.Exit, where one does not in time."""
        told: dict[str, str] = {}
        for seen in self._look_again(client, promotion):
            for push in seen["pushes"]:
                why = f": {one_line(push['error'])}" if push["error"] else ""
                state = f"{push['environment_name']}: {push['state']}{why}"
                if told.get(push["id"]) != state:
                    told[push["id"]] = state
                    console.print(state, soft_wrap=True)
            promotion = seen
        if not promotion["is_current"]:
            console.print(say("it was replaced meanwhile by another promotion"), soft_wrap=True)
        if not promotion["is_current"] or any(push["state"] != "live" for push in promotion["pushes"]):
            raise typer.Exit(ExitCode.NOT_LIVE)
        if not promotion["pushes"]:
            console.print(say("no server serves {stage}: broker environments create", stage=self.stage), soft_wrap=True)
        return promotion

    def _look_again(self, client: BrokerClient, promotion: Promotion) -> Iterator[Promotion]:
        """Look at a promotion until it is live everywhere, is replaced, or the time is over."""
        ends = time.monotonic() + self.live_within
        while True:
            yield promotion
            is_live = all(push["state"] == "live" for push in promotion["pushes"])
            if is_live or not promotion["is_current"] or time.monotonic() >= ends:
                return
            time.sleep(POLL_SECONDS)
            try:
                promotion = cast("Promotion", client.get(f"/promotions/{promotion['id']}"))
            except (NotReachable, ApiError) as error:
                if isinstance(error, ApiError) and not error.is_passing:
                    raise


def _name(adapter: Adapter) -> str:
    return f"{one_line(adapter['name'])} v{adapter['version']}"
