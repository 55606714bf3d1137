"""Every command of `broker`, found by walking from its root; and what to type where one needs an argument."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.core import TyperCommand, TyperGroup

from broker.cli import main
from broker.cli.deferred import DeferredGroup, Place

Command = TyperCommand | TyperGroup
SECOND_NAMES = frozenset({"invoice", "topups", "follow"})


@cache
def list_commands() -> dict[str, tuple[Command, str]]:
    """List each command by what is typed, without those that are another one's second name; and its module."""
    return {name: found for name, found in _walk("", main.COMMANDS) if SECOND_NAMES.isdisjoint(name.split())}


@cache
def list_groups() -> tuple[TyperGroup, ...]:
    """List the groups of commands, each with its own help, those within others among them."""
    return tuple(_walk_groups(main.COMMANDS))


def _walk_groups(places: Mapping[str, Place]) -> Iterator[TyperGroup]:
    for name, place in places.items():
        yield from _walk_groups_below(place.load(name))


def _walk_groups_below(command: object) -> Iterator[TyperGroup]:
    if isinstance(command, DeferredGroup):
        yield command
        yield from _walk_groups(command.places)
    elif isinstance(command, TyperGroup):
        yield command
        for below in command.commands.values():
            yield from _walk_groups_below(below)


def _walk(above: str, places: Mapping[str, Place]) -> Iterator[tuple[str, tuple[Command, str]]]:
    for name, place in places.items():
        command = place.load(name)
        yield from _walk_below(f"{above} {name}".strip(), command, place.target)


def _walk_below(name: str, command: Command, target: str) -> Iterator[tuple[str, tuple[Command, str]]]:
    if isinstance(command, DeferredGroup):
        yield from _walk(name, command.places)
    elif isinstance(command, TyperGroup):
        for below, found in command.commands.items():
            assert isinstance(found, TyperCommand | TyperGroup)
            yield from _walk_below(f"{name} {below}", found, target)
    else:
        yield name, (command, target)


# What is typed for an argument, by how the help calls it; ids are as long as they are.
WORDS = {
    kind: f"{prefix}_" + "0" * 26
    for kind, prefix in {
        "JOB": "job",
        "ADAPTER": "ada",
        "ADAPTER...": "ada",
        "DATASET": "dat",
        "CONTRACT": "con",
        "GRANT": "gra",
        "PURCHASE": "pur",
        "INVOICE": "inv",
        "PAYMENT": "pay",
    }.items()
} | {"PROJECT": "Acme Tea", "ENDPOINT": "whe_01k", "ENVIRONMENT": "env_01k", "SECRET": "sec_01k"}
NAMED = {
    "month": "2026-11",
    "since": "2026-11-01T00:00:00Z",
    "until": "2026-11-02T00:00:00Z",
    "begins_on": "2026-11-01",
    "per_gpu_hour": "3.20",
    "amount": "12.50",
    "number": "2" * 20,
    "hours": "5",
    "changes": "kept_checkpoints=2",
    "endpoint_id": "whe_01k",
    "settings": "lora_rank=4,8",
}


def list_needed(command: Command, files: Path) -> list[str]:
    """List what a command needs to be typed behind its name: an argument or option for each that has no default."""
    words: list[str] = []
    for param in command.params:
        if param.required:
            word = _choose_word(param, files)
            words += [word] if param.param_type_name == "argument" else [param.opts[0], word]
    return words


def _choose_word(param: Any, files: Path) -> str:
    kind = param.type_descriptor.annotation
    if get_origin(kind) in {list, Sequence}:
        (kind,) = get_args(kind)
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(next(iter(kind)).value)
    usual = {Path: str(files / "any.json"), int: "5", float: "5"}
    return WORDS.get(param.metavar or "") or NAMED.get(param.name or "", usual.get(kind, "any"))
