"""Commands that are imported only when they are chosen, so that `broker jobs list` does not pay for the web stack.

What they say of themselves is in the language of whoever reads; where the client is installed alone, what needs the
service is not listed, and says so.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from broker.cli.examples import HELP, name_command, show_examples
from broker.cli.failures import ServiceMissing
from broker.cli.words import say, speaks_chinese, translate

# A room that only the service has; and those of the command line that open an installation.
SERVICE = "broker.app"
OF_THE_SERVICE = ("broker.cli.local", "broker.cli.demo", "broker.cli.simulate")


@dataclass(frozen=True)
class Place:
    """Where a command is: `module:attribute`, a Typer or a function; and its help, which needs no import."""

    target: str
    help: str
    hidden: bool = False

    def load(self, name: str) -> TyperCommand | TyperGroup:
        """Import the command's module and make the command. Raises: ServiceMissing."""
        if not self.is_here():
            told = "`broker {name}` is the service's own; install it all with: pip install lora-broker"
            raise ServiceMissing(say(told, name=name))
        module, _, attribute = self.target.partition(":")
        with collecting_nothing():
            found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False)
            app.command(name)(found)
            found = app
        command = typer.main.get_command(found)
        assert isinstance(command, TyperCommand | TyperGroup)
        if speaks_chinese():
            translate_help(command)
        return command

    def is_here(self) -> bool:
        """Tell whether what it needs is installed: all is, but where the client is installed alone."""
        return not self.target.startswith(OF_THE_SERVICE) or find_spec(SERVICE) is not None


def translate_help(command: TyperCommand | TyperGroup) -> None:
    """Have a command, its options and what is below it say what they are in the language of whoever reads."""
    command.help = translate(command.help or "")
    helping = command.get_help_option(typer.Context(command))
    for param in [*command.params, *([] if helping is None else [helping])]:
        if hasattr(param, "help"):
            param.help = translate(param.help or "")
    for below in getattr(command, "commands", {}).values():
        translate_help(below)


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
        super().__init__(name, help=translate(place.help), hidden=place.hidden)
        self.place = place

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the command that this one stands for: what runs from here on is that command."""
        command = self.place.load(self.name or "")
        if HELP in args:
            show_examples(command, name_command(parent, self.name or ""))
        return command.make_context(info_name, args, parent, **extra)


class DeferredGroup(TyperGroup):
    """Commands by their names, each imported when it is chosen."""

    places: ClassVar[Mapping[str, Place]]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the framework's signature)
        return [name for name, place in self.places.items() if place.is_here()]

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002
        place = self.places.get(cmd_name)
        return None if place is None else DeferredCommand(cmd_name, place)
