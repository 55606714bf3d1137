"""What the command line says, collected from its code: sentences, headings, labels, and what help tells.

`python -m tests.broker.cli.sayings` lists what the Chinese catalogue lacks, as JSON to be filled in.
"""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import broker.cli
from broker.cli import main
from broker.cli.texts import job_log, job_words, price, values
from broker.cli.words import load_catalogue
from tests.broker.cli.commands import list_commands

ROOT = Path(broker.cli.__file__).parent
# The rooms that speak to customers: finance, ops and an installation's own machine speak English beyond their help.
SPOKEN = ("*.py", "remote/*.py", "remote/jobs/*.py", "texts/*.py")
# The headings of tables are in both languages, whoever reads them.
HEADED = ("remote/**/*.py", "texts/*.py")
# What a customer types: all that their help tells is in the catalogue, too.
OF_CUSTOMERS = frozenset(
    {
        *("quote", "submit", "jobs", "logs", "metrics", "why", "quotes", "datasets", "adapters", "base-models"),
        *("login", "logout", "whoami", "projects", "completion", "balance", "report", "usage", "templates"),
    }
)


def list_sayings() -> set[str]:
    """List the templates of all sentences that are said, wherever they are written as they are."""
    found: set[str] = set()
    for pattern in SPOKEN:
        for path in ROOT.glob(pattern):
            found |= set(_list_said(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _list_said(module: ast.Module) -> Iterator[str]:
    named = {
        target.id: node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args:
            template = node.args[0]
            written = named.get(template.id, template) if isinstance(template, ast.Name) else template
            yield from _list_texts(written)


def _list_texts(template: ast.expr) -> Iterator[str]:
    """List the texts that an expression chooses from; what it looks up in a table is asked for by the table's test."""
    chosen = [template.body, template.orelse] if isinstance(template, ast.IfExp) else [template]
    yield from (each.value for each in chosen if isinstance(each, ast.Constant) and isinstance(each.value, str))


def list_tables() -> set[str]:
    """List the words of tables: why a job stops, where it stands, what happened to it."""
    told = {*job_words.STOPS.values(), *job_words.PAUSES.values(), *job_words.STYLE_OF, *job_log.SENTENCES.values()}
    return told | {template for _length, template in values.AGO} | {price.NO_CONTRACT, price.NO_PRICE}


def list_headings() -> set[str]:
    """List the headings of all tables that are written as they are."""
    paths = [path for pattern in HEADED for path in ROOT.glob(pattern)]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
    named = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Column"]
    return {text for each in named for text in _list_texts(each)} - {""}


def list_help() -> set[str]:
    """List what help tells of every part, and all that it tells of what customers type."""
    told = {main.app.info.help or "", main.LANG_HELP}
    told |= {place.help for place in main.COMMANDS.values()} | set(main.SECTIONS) | set(main.FRAME_WORDS.values())
    for name, (command, _target) in list_commands().items():
        if name.split()[0] in OF_CUSTOMERS:
            told |= {command.help or "", *(getattr(param, "help", None) or "" for param in command.params)}
    return told - {""}


def list_missing() -> list[str]:
    """List what is said and has no Chinese."""
    return sorted((list_sayings() | list_tables() | list_headings() | list_help()) - load_catalogue().keys())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dict.fromkeys(list_missing(), ""), ensure_ascii=False, indent=1) + "\n")
