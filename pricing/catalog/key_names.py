"""What sd-scripts, LLaMA-Factory, axolotl and transformers call the keys of a training, and what becomes of each here.

The table is data, a file for each program with its source (`other_programs/*.yaml`).
"""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

TABLES = files("pricing.catalog") / "other_programs"
NEAR = 0.8  # similarity from which on a name is taken for a slip of the pen: `lora_rnk`, `per_device_train_batchsize`


class ProgramKeys(BaseModel):
    """One program's keys. `same` has the name here, `changed` that and the difference, the others why they are gone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    program: str
    source: str
    same: dict[str, str]
    changed: dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]]
    not_needed: dict[str, str]
    no_equal: dict[str, str]

    def describe(self, key: str) -> str | None:
        """Say what becomes of a key, as the end of a sentence that names it; None where the program has no such key."""
        if key in self.same:
            return f"is {self.same[key]} here"
        if key in self.changed:
            name, difference = self.changed[key]
            return f"is {name} here ({difference})"
        if key in self.not_needed:
            return f"is not needed: {self.not_needed[key]}; leave it out"
        if key in self.no_equal:
            return f"has no equal: {self.no_equal[key]}; leave it out"
        return None

    @property
    def names(self) -> set[str]:
        return {*self.same, *self.changed, *self.not_needed, *self.no_equal}


@cache
def load_program_keys() -> dict[str, ProgramKeys]:
    """Load the table of every program, by the name of its file."""
    tables = sorted((entry for entry in TABLES.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return {
        table.name.removesuffix(".yaml"): ProgramKeys.model_validate(yaml.safe_load(table.read_text(encoding="utf-8")))
        for table in tables
    }


def find_own_key(word: str) -> str | None:
    """Find the key here that other programs call so; None where none does, or does what is done otherwise."""
    for table in load_program_keys().values():
        if word in table.same:
            return table.same[word]
        if word in table.changed:
            return table.changed[word][0]
    return None


def explain_key(key: str, known: list[str]) -> str | None:
    """Explain a key that is none of the `known` ones: a slip of the pen, or another program's word; None if neither.

    A word that several programs have is explained by each meaning once.
    """
    plain = key.strip().lower().replace("-", "_")
    tables = load_program_keys().values()
    others = {name.lower(): name for table in tables for name in table.names}
    if plain in known:
        return f"did you mean {plain}?"
    if plain not in others and f"lora_{plain}" in known:
        return f"did you mean lora_{plain}?"
    if plain not in others:
        near = get_close_matches(plain, [*known, *sorted(others.keys() - set(known))], n=1, cutoff=NEAR)
        if not near or near[0] in known:
            return f"did you mean {near[0]}?" if near else None
        plain = near[0]
    name = others[plain]
    by_meaning: dict[str, list[str]] = {}
    for table in tables:
        if words := table.describe(name):
            by_meaning.setdefault(words, []).append(table.program)
    told = [f"{name} of {' and '.join(programs)} {words}" for words, programs in by_meaning.items()]
    return "; ".join(told) if name == key else f"if {name} is meant: {'; '.join(told)}"
