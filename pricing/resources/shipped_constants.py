"""The constants that an installation starts with: fitted to runs, and kept as a file of the catalogue.

`make bench-estimator ARGS=--write` writes it.
"""

from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pricing.catalog import CATALOG
from pricing.catalog.profile import TEXT_FAMILIES
from pricing.resources.memory import MEMORY_PRIORS, MemoryConstants
from pricing.resources.run_work import RUN_PRIORS, DeviceConstants
from pricing.resources.time import TIME_PRIORS

Kind = Literal["text", "pictures"]
Measured = Literal["time", "memory"]

FILE = CATALOG / "estimator.json"


class Shipped(BaseModel):
    """Constants by name, those that no run says anything about left out.

    `log_spread` is that of strangers' times, by kind of job; `doubts` say how wide errors of strangers' figures are
    where nothing is doubtful, and what widens them; `shares` how often programs do what a request may leave unsaid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    time: dict[str, float] = {}
    memory: dict[Literal["published", "trainer"], dict[str, float]] = {}
    log_spread: dict[Kind, float]
    doubts: dict[Measured, dict[str, float]]
    shares: dict[str, float]
    source: str


@cache
def load_shipped() -> Shipped:
    return Shipped.model_validate_json(FILE.read_text(encoding="utf-8"))


@cache
def load_device_constants() -> DeviceConstants:
    """Load the constants of a GPU type that has no runs of its own."""
    priors = {name: prior.value for name, prior in (TIME_PRIORS | RUN_PRIORS).items()}
    return DeviceConstants.of(priors | load_shipped().time)


@cache
def load_memory_constants(program: Literal["published", "trainer"]) -> MemoryConstants:
    """Load those of the scripts that people publish figures of, or of our own trainer."""
    priors = {name: prior.value for name, prior in MEMORY_PRIORS.items()}
    return MemoryConstants(**(priors | load_shipped().memory.get(program, {})))


def load_doubts(measured: Measured) -> dict[str, float]:
    """Load the spread of each kind of job where nothing is doubtful, and by what each doubt widens it."""
    return load_shipped().doubts[measured]


def load_share(name: str) -> float:
    """Load how often programs do what a request left unsaid. Raises: KeyError for what nobody counted."""
    return load_shipped().shares[name]


def load_log_spread(family: str) -> float:
    """Load the standard deviation of log(actual / estimated) seconds for a program of which no run was seen."""
    return load_shipped().log_spread[find_kind(family)]


def find_kind(family: str) -> Kind:
    """Find the kind of job of a family, whose errors make its interval."""
    return "text" if family in TEXT_FAMILIES else "pictures"
