"""`broker completion`: what has a shell complete commands, options and ids."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from broker.cli.output import write_answer

PROGRAM = "broker"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def show_completion(
    shell: Annotated[Shell, typer.Argument(help='For `eval "$(broker completion bash)"`, or zsh; fish: `| source`.')],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Print what has a shell complete commands, options and ids."""
    variable = f"_{PROGRAM.upper()}_COMPLETE"
    script = get_completion_script(prog_name=PROGRAM, complete_var=variable, shell=shell.value)
    write_answer({"shell": shell.value, "script": script}, script, as_json=as_json)
