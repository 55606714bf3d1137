"""Advice names what there is: commands, flags and fields in messages, help texts and documents are looked up."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi import FastAPI

from broker.cli.deferred import DeferredGroup
from broker.cli.main import app as broker_app
from broker.http.openapi import make_workers_openapi
from pricing.training.config import TrainingConfig
from trainer.commands.cli import app as trainer_app

ROOT = Path(__file__).parents[3]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# A command as it is written as code: in backquotes, on an indented line, or in the environment; up to the end of it.
SPOKEN = re.compile(r"(?:`|^ {4}|\.venv/bin/|\| )(broker|trainer) ([a-z][^`\n\"|#\\]*)", re.MULTILINE)
# Programs of others, whose flags are not ours.
STRANGERS = re.compile(r"docker[^`]*|options of sbatch.*|tensorboard --logdir")
DOCUMENTS = [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
# What calls the programs of a cluster writes their flags, not ours.
CLUSTERS = {ROOT / "broker/execution/slurm", ROOT / "broker/execution/ray"}
SOURCES = sorted(path for path in ROOT.glob("broker/**/*.py"))


def list_commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """List every command below a group with its flags."""
    own = {flag for parameter in group.params for flag in [*parameter.opts, *parameter.secondary_opts]}
    yield before, {"--help", *own}
    commands = getattr(group, "commands", {})
    if isinstance(group, DeferredGroup):
        commands = {name: place.load(name) for name, place in group.places.items()}
    for name, command in commands.items():
        yield from list_commands(command, (*before, name))


@pytest.fixture(scope="module")
def flags() -> dict[tuple[str, ...], set[str]]:
    """Every command with its flags."""
    found = dict(list_commands(typer.main.get_command(broker_app), ("broker",)))
    return found | dict(list_commands(typer.main.get_command(trainer_app), ("trainer",)))


@dataclass(frozen=True)
class Module:
    """The texts of a module, and the fields that its errors name by a constant."""

    path: Path
    texts: tuple[str, ...]
    fields: tuple[str, ...]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    """Read every module once for all tests: that takes seconds."""
    return [read_module(path) for path in SOURCES]


def read_module(path: Path) -> Module:
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return Module(path, tuple(_list_texts(nodes)), tuple(_list_named_fields(nodes)))


def _list_texts(nodes: list[ast.AST]) -> Iterator[str]:
    """List the texts; what an f-string puts in is `X`."""
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _list_named_fields(nodes: list[ast.AST]) -> Iterator[str]:
    """List the fields that errors name by a constant; headers begin with a capital."""
    for node in nodes:
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called, first = node.func, node.args[0]
        if isinstance(first, ast.Constant) and ast.unparse(called).endswith(("FieldError", "invalid_field")):
            yield str(first.value)


def find_command(known: dict[tuple[str, ...], set[str]], program: str, words: str) -> tuple[str, ...]:
    """Find the longest command that the words begin with."""
    command: tuple[str, ...] = (program,)
    for word in words.split():
        if (*command, word) not in known:
            break
        command = (*command, word)
    return command


def list_wrong(known: dict[tuple[str, ...], set[str]], text: str) -> list[str]:
    """List the commands in a text that there are not, and flags that a command does not take."""
    wrong = []
    for program, words in SPOKEN.findall(text):
        command = find_command(known, program, words)
        wrong += [f"{' '.join(command)} {flag}" for flag in FLAG.findall(words) if flag not in known[command]]
        if len(command) == 1:
            wrong.append(f"{program} {words}")
    return wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_a_document_are_there_with_their_flags(path: Path, flags: dict[tuple[str, ...], set[str]]) -> None:
    assert list_wrong(flags, path.read_text(encoding="utf-8")) == []


def test_commands_in_messages_are_there_with_their_flags(
    flags: dict[tuple[str, ...], set[str]], modules: list[Module]
) -> None:
    """`resume it with a higher --max-cost` was said where no command had it."""
    texts = [(module.path.name, text) for module in modules for text in module.texts]
    wrong = {name: found for name, text in texts if (found := list_wrong(flags, text))}
    assert wrong == {}


def test_flags_in_messages_are_those_of_some_command(
    flags: dict[tuple[str, ...], set[str]], modules: list[Module]
) -> None:
    known = set().union(*flags.values())
    said = {
        (module.path.name, flag)
        for module in modules
        if module.path.parent not in CLUSTERS
        for text in module.texts
        for flag in FLAG.findall(STRANGERS.sub("", text))
    }
    assert len(said) > 20
    assert {(name, flag) for name, flag in said if flag not in known} == set()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("use `broker jobs submit --nope`", ["broker jobs submit --nope"]),
        ("`broker jobs submit --max-cost 1`", []),
        ("`broker nosuch`", ["broker nosuch"]),
        ("    trainer train --confg x", ["trainer train --confg"]),
    ],
)
def test_what_is_wrong_is_found(flags: dict[tuple[str, ...], set[str]], text: str, wrong: list[str]) -> None:
    assert list_wrong(flags, text) == wrong


def test_fields_that_messages_name_are_fields_of_requests(routed_app: FastAPI, modules: list[Module]) -> None:
    """Look up the fields by their last part; `body` is the whole of a request, and its type a header."""
    documents = [routed_app.openapi(), make_workers_openapi(routed_app)]
    known = {
        name
        for document in documents
        for schema in document["components"]["schemas"].values()
        for name in schema.get("properties", {})
    }
    known |= {
        parameter["name"]
        for document in documents
        for item in document["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", [])
    }
    known |= TrainingConfig.model_fields.keys()
    named = {(module.path.name, field) for module in modules for field in module.fields}
    assert len(named) > 10
    known |= {"body", "content-type", "livemode"}  # the last is a field of Stripe's events
    known |= {"of", "parts", "hours"}  # of a page's stream and of a form, which no document lists
    assert {(name, field) for name, field in named if field.split(".")[-1] not in known} == set()
