"""Commands that are imported only when they are chosen, so that `broker jobs list` does not pay for the web stack."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Place:
    """Where a command is: `module:attribute`, a Typer or a function; and its help, which needs no import."""

    target: str
    help: str
    hidden: bool = False

    def load(self, name: str) -> TyperCommand | TyperGroup:
        """Import the command's module and make the command."""
        module, _, attribute = self.target.partition(":")
        with collecting_nothing():
            found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False)
            app.command(name)(found)
            found = app
        command = typer.main.get_command(found)
        assert isinstance(command, TyperCommand | TyperGroup)
        return command


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """Keep the garbage collector from looking through what an import makes, now and later: all of it stays.

    It would look some hundred times, each time at more objects, which takes a fifth of the web stack's import.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class DeferredCommand(TyperCommand):
    """A stand-in that knows its name and its help; the command itself is imported when it is to run."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name, help=place.help, hidden=place.hidden)
        self.place = place

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the command that this one stands for: what runs from here on is that command."""
        command = self.place.load(self.name or "")
        return command.make_context(info_name, args, parent, **extra)


class DeferredGroup(TyperGroup):
    """Commands by their names, each imported when it is chosen."""

    places: ClassVar[Mapping[str, Place]]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the framework's signature)
        return list(self.places)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002
        place = self.places.get(cmd_name)
        return None if place is None else DeferredCommand(cmd_name, place)
