"""How each command is typed, at the end of its help: the lines of `locales/examples.txt`, which need no import."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from typer.core import TyperCommand, TyperGroup

from broker.cli.words import say

PROGRAM = "broker"
HELP = "--help"


def list_examples() -> list[str]:
    """List the lines that show how commands are typed."""
    return files("broker.cli").joinpath("locales/examples.txt").read_text(encoding="utf-8").splitlines()


def name_command(context: Any, name: str) -> str:
    """Name a command by what is typed for it behind the program's name; `context` is that of what it is in."""
    names = [name]
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(names)


def show_examples(command: TyperCommand | TyperGroup, name: str) -> None:
    """Have a command, and those below it, end their help with how they are typed."""
    for each, path in _walk(command, name):
        typed = [line for line in list_examples() if f"{line} ".startswith(f"{PROGRAM} {path} ")]
        if typed and not isinstance(each, TyperGroup):
            each.epilog = "\n\n".join(say("Example: {line}", line=line) for line in typed)


def _walk(command: Any, name: str) -> Iterator[tuple[TyperCommand | TyperGroup, str]]:
    yield command, name
    for below, found in getattr(command, "commands", {}).items():
        yield from _walk(found, f"{name} {below}")
