"""What the command line says, collected from its code: sentences, headings, labels, and what help tells.

`python -m tests.broker.cli.sayings` lists what the Chinese catalogue lacks, as JSON to be filled in.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import broker.cli
from broker.cli import main
from broker.cli.deferred import DeferredGroup, Place
from broker.cli.failures import OF_TYPER
from broker.cli.texts import job_log, job_words, price, values
from broker.cli.words import load_catalogue
from broker.contracts.terms.arrears import DataKept, Use
from tests.broker.cli.commands import list_commands, list_groups

ROOT = Path(broker.cli.__file__).parent
# What tells a story of its own, once, to whoever tries it out.
SILENT = frozenset({"demo"})
# Calls whose words are collected as help, as headings or as what is said; `speak` has both languages at hand.
COLLECTED = frozenset(
    {"say", "translate", "Place", "Column", "Typer", "Option", "Argument", "StrEnum", "speak", "describe_count"}
)
# What is written in words and is none of a language: commands to type, names in the API, markup, what others write.
NO_SENTENCE = re.compile(r"^\W*broker [a-z{]|^ --[a-z]|^\{\}\. \{\}, \{\} GPU|^configs\.|^ or $|UTC$|task\.|^\[bold\]")
# Of programs alone: what a problem is called in JSON, the reason that a promotion keeps, whence a key was typed.
FOR_PROGRAMS = frozenset({"main.py:_run", "failures.py:explain_failure", "gate.py:_promote", "account.py:login"})


@cache
def list_modules() -> dict[Path, ast.Module]:
    """List the modules of the command line that speak."""
    paths = [path for path in sorted(ROOT.rglob("*.py")) if SILENT.isdisjoint(path.relative_to(ROOT).parts)]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def list_sayings() -> set[str]:
    """List the templates of all sentences that are said, and all that a call of `translate` chooses from."""
    return {text for module in list_modules().values() for text in _list_said(module)}


def _list_said(module: ast.Module) -> Iterator[str]:
    named = _list_assigned(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            told = node.args[0]
            if node.func.id == "say":
                for written in named.get(told.id, [told]) if isinstance(told, ast.Name) else [told]:
                    yield from _list_texts(written)
            elif node.func.id == "translate":
                names = [each.id for each in ast.walk(told) if isinstance(each, ast.Name) and each.id.isupper()]
                tables = [written for name in names for written in named.get(name, [])]
                yield from (text for table in tables for text in _list_values(table))


def list_unfilled() -> list[str]:
    """List the templates with a place that their call does not fill."""
    found = []
    for node in (node for module in list_modules().values() for node in ast.walk(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
            filled = {keyword.arg for keyword in node.keywords}
            found += [
                text for text in _list_texts(node.args[0]) if _list_places_in(text) - filled and None not in filled
            ]
    return sorted(found)


def _list_places_in(template: str) -> set[str]:
    return {name for _text, name, _format, _conversion in Formatter().parse(template) if name is not None}


def _list_assigned(module: ast.Module) -> dict[str, list[ast.expr]]:
    """List what each name of a module is set to, wherever that is."""
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    named.setdefault(target.id, []).append(node.value)
    return named


def _list_values(table: ast.expr) -> Iterator[str]:
    """List the words of a table, or the one that a name stands for."""
    yield from (
        text for each in (table.values if isinstance(table, ast.Dict) else [table]) for text in _list_texts(each)
    )


def _list_texts(template: ast.expr) -> Iterator[str]:
    """List the texts that an expression chooses from; what it looks up in a table is asked for by the table's test."""
    chosen = [template.body, template.orelse] if isinstance(template, ast.IfExp) else [template]
    yield from (each.value for each in chosen if isinstance(each, ast.Constant) and isinstance(each.value, str))


def list_tables() -> set[str]:
    """List the words of tables: why a job stops, where it stands, what happened to it."""
    told = {*job_words.STOPS.values(), *job_words.PAUSES.values(), *job_words.STYLE_OF, *job_log.SENTENCES.values()}
    told |= {each.value.replace("_", " ") for each in (*Use, *DataKept)}
    told |= set(OF_TYPER)
    return told | {template for _length, template in values.AGO} | {price.NO_CONTRACT, price.NO_PRICE}


def list_headings() -> set[str]:
    """List the headings of tables, the labels of cards, and the nouns that are counted."""
    return {text for module in list_modules().values() for text in _list_headings(module)} - {""}


def _list_headings(module: ast.Module) -> Iterator[str]:
    named = _list_assigned(module)
    for node in ast.walk(module):
        if _is_label(node):
            yield node.elts[0].value  # type: ignore[attr-defined]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            if node.func.id == "Column":
                yield from _list_texts(node.args[0])
            elif node.func.id == "describe_count":
                yield from _list_texts(node.args[1])
        elif isinstance(node, ast.GeneratorExp) and ast.unparse(node.elt).startswith("Column("):
            of = node.generators[0].iter
            names = [each.id for each in ast.walk(of) if isinstance(each, ast.Name)]
            for part in [of, *(written for name in names for written in named.get(name, []))]:
                yield from _list_words(part)


def _list_words(of: ast.expr) -> Iterator[str]:
    """List the words in an expression; the keys of a table are names in the API."""
    keys = set(map(id, of.keys)) if isinstance(of, ast.Dict) else set()
    for each in ast.walk(of):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in keys:
            yield from [each.value] if re.fullmatch("[A-Za-z0-9 -]{3,}", each.value) else []


def _is_label(node: ast.AST) -> bool:
    """Tell whether a node is a row of a card: its label, which begins with a capital, and what belongs to it."""
    if not (isinstance(node, ast.Tuple) and len(node.elts) == len(("label", "text"))):
        return False
    label, _text = node.elts
    return isinstance(label, ast.Constant) and isinstance(label.value, str) and label.value[:1].isupper()


def list_unsaid() -> list[str]:
    """List the words that a command writes as they are, whoever reads: each where it stands."""
    found = []
    for path, module in list_modules().items():
        passed = {
            id(each)
            for told in ast.walk(module)
            if isinstance(told, ast.Call) and isinstance(told.func, ast.Name) and told.func.id == "say"
            for name in told.args
            if isinstance(name, ast.Name)
            for each in _list_assigned(module).get(name.id, [])
        }
        for function in ast.walk(module):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                if f"{path.name}:{function.name}" in FOR_PROGRAMS:
                    continue
                for statement in function.body:
                    found += [f"{path.name}:{line}: {text}" for line, text in _list_unsaid(statement, passed)]
    return sorted(set(found))


def _list_unsaid(node: ast.AST, passed: set[int]) -> Iterator[tuple[int, str]]:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if is_docstring or isinstance(node, ast.Assert | ast.FunctionDef) or id(node) in passed:
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name in COLLECTED:
            for keyword in node.keywords:
                yield from _list_unsaid(keyword.value, passed)
            return
    text = _write_out(node)
    if text is not None and _is_sentence(text):
        yield node.lineno, text  # type: ignore[attr-defined]
    parts = node.elts[1:] if _is_label(node) else ast.iter_child_nodes(node)  # type: ignore[attr-defined]
    for part in parts:
        if not (isinstance(node, ast.JoinedStr) and isinstance(part, ast.Constant)):
            yield from _list_unsaid(part, passed)


def _write_out(node: ast.AST) -> str | None:
    """Write out a text with its places as `{}`; None: it is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_sentence(text: str) -> bool:
    return " " in text and re.search("[A-Za-z]{2}", text) is not None and NO_SENTENCE.search(text) is None


def list_help() -> set[str]:
    """List what help tells of every part, every command and every option."""
    told = {main.app.info.help or "", main.LANG_HELP, main.VERSION_HELP, *main.SECTIONS, *main.FRAME_WORDS.values()}
    told |= {place.help for place in _list_places()}
    told |= {group.help or "" for group in list_groups()}
    for command, _target in list_commands().values():
        told |= {command.help or "", *(getattr(param, "help", None) or "" for param in command.params)}
    return told - {""}


def _list_places() -> Iterator[Place]:
    yield from main.COMMANDS.values()
    for group in list_groups():
        if isinstance(group, DeferredGroup):
            yield from group.places.values()


def list_missing() -> list[str]:
    """List what is said and has no Chinese."""
    return sorted((list_sayings() | list_tables() | list_headings() | list_help()) - load_catalogue().keys())


def list_unused() -> list[str]:
    """List what has a Chinese and is said no longer; what a broker answers in a word is looked up, too."""
    return sorted(load_catalogue().keys() - (list_sayings() | list_tables() | list_headings() | list_help()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dict.fromkeys(list_missing(), ""), ensure_ascii=False, indent=1) + "\n")
