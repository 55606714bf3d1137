"""`trainer convert`: another program's configuration written as ours, with what it loses on the way."""

from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from pricing.catalog.key_names import load_program_keys
from pricing.field_problem import FieldProblem
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from trainer.atomic_files import writing_file
from trainer.converting.conversion import Conversion
from trainer.converting.foreign_file import convert_values, find_program, read_foreign
from trainer.errors import BadInput


def convert(file: Path, output: Path, console: Console, *, program: str | None, base_model: str | None) -> None:
    """Write `output`, and print what means something else here and what has no equal.

    Raises: BadInput, ConfigInvalid, where the result would be no configuration of ours.
    """
    if output.exists():
        raise BadInput("--output", f"{output} is there already; name another file")
    values = read_foreign(file)
    whose = program or find_program(values)
    told = convert_values(values, whose)
    if base_model is not None:
        told.config["base_model"] = base_model
    if "base_model" not in told.config:
        raise BadInput("--base-model", f"{file} names no base model; say which")
    try:
        parse_training_config(told.config)
    except ConfigInvalid as error:
        raise ConfigInvalid([name_theirs(problem, values, whose) for problem in error.problems]) from error
    with writing_file(output) as aside:
        aside.write_text(write_yaml(told, file, whose), encoding="utf-8")
    for line in describe(told):
        console.print(line)
    console.print(f"written: {output}")


def name_theirs(problem: FieldProblem, values: dict[str, Any], program: str) -> FieldProblem:
    """Name the keys of the other program beside ours: it is their file that is to be mended."""
    keys = load_program_keys()[program]
    ours = keys.same | {name: of for name, (of, _) in keys.changed.items()}
    theirs = [name for name in values if ours.get(name) == problem.field and name != problem.field]
    return FieldProblem(f"{' or '.join(theirs)}, which is {problem.field} here", problem.message) if theirs else problem


def write_yaml(told: Conversion, file: Path, program: str) -> str:
    """Write the file: what it was made of, what to mind as comments, and the keys."""
    comments = [f"Converted from {file.name} ({program}).", *describe(told)]
    lines = [f"# {line}".rstrip() for comment in comments for line in comment.splitlines()]
    return "\n".join(lines) + "\n\n" + yaml.safe_dump(told.config, sort_keys=False, allow_unicode=True)


def describe(told: Conversion) -> list[str]:
    parts = {
        "means something else here": told.changed,
        "has no equal, left out": told.no_equal,
        "not needed": told.not_needed,
    }
    return [line for title, words in parts.items() if words for line in (f"{title}:", *(f"  {one}" for one in words))]
