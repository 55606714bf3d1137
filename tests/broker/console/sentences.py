"""The sentences that services make, collected from their code as templates with numbered places.

`python -m tests.broker.console.sentences` writes into the catalogue what customers can be told and it lacks, and lists
what is still to be translated; a sentence of another room is added by hand, as its template.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from pydantic_core._pydantic_core import list_all_errors

import broker
import pricing
from broker.console.frame.catalogue import read_catalogue
from broker.console.frame.sentences import DOMAIN
from tests.broker.console.catalogues import list_messages
from tests.broker.console.finders import OF_READERS, list_found
from tests.broker.console.wordings import Module, Wordings, write_template

ROOTS = (Path(broker.__file__).parent, Path(pricing.__file__).parent)
# Rooms that speak to programs of ours alone: what they refuse, nobody reads.
TOLD_TO_PROGRAMS = frozenset({"cli", "client", "facades", "processes", "workers"})
# But for the programs whose callers read Chinese.
TOLD_IN_CHINESE = ("facades/dashscope/*.py", "facades/*.py")
MADE_BY = frozenset({"invalid_field", "FieldError", "FieldProblem", "HTTPException", "written_like"})
# Where validators of what is sent say what is wrong with it: as an error of Python, or as what they return.
VALIDATORS = ("*schemas.py", "*/shapes.py", "training/*.py", "*plain_text.py", "payments/bank/*.py", "*_fields.py")
DESCRIBERS = ("*unknown.py", "*number_fields.py", "*labels.py")
# What pydantic's faults have in their places: those of days and times that people write.
OF_MOMENTS = frozenset(
    {
        "input is too short",
        "invalid character in year",
        "invalid character in month",
        "invalid character in day",
        "invalid character in hour",
        "invalid character in minute",
        "invalid character in second",
        "invalid date separator, expected `-`",
        "invalid time separator, expected `:`",
        "invalid datetime separator, expected `T`, `t`, `_` or space",
        "invalid timezone sign",
        "month value is outside expected range of 1-12",
        "day value is outside expected range",
        "hour value is outside expected range of 0-23",
        "minute value is outside expected range of 0-59",
        "second value is outside expected range of 0-59",
        "unexpected extra characters at the end of the input",
    }
)


def list_faults_of_pydantic() -> Iterator[str]:
    """List the sentences of pydantic's faults as templates: of one thing, and of several."""
    for fault in list_all_errors():
        for sentence in {fault["message_template_python"], fault.get("message_template_json")} - {None}:
            for plural in {"", "s"} if "{expected_plural}" in sentence else {""}:
                places = count(1)
                told = sentence.replace("{expected_plural}", plural)
                yield re.sub(r"\{\w+\}", lambda _place: f"{{{next(places)}}}", told)  # noqa: B023 (used at once)


# Sentences that other programs make: pydantic's, and those of the framework.
OF_OTHERS = frozenset({*list_faults_of_pydantic(), *OF_MOMENTS, "Not Found", "Method Not Allowed"})
# Words that stand in the places of sentences.
KINDS = frozenset(
    {"webhook endpoint", "event"}
    | {"job", "adapter", "dataset", "quote", "contract", "project", "customer", "API key", "page", "panel", "picture"}
    | {"GPU-hours", "tokens", "answers", "never", "true-up", "field", "form field", "parameter"}
    | {"queue", "pool", "quota", "empty"}
    | {"admin", "administrator", "finance", "ops", "meter"}
    | {"invoice", "grant", "run", "batch", "hold of job", "pictures", "rows", "text", "with", "without"}
    | {"commas", "semicolons", "tabs"}
)


@cache
def read_code() -> Wordings:
    """Read every module of the code."""
    return Wordings(
        [
            Module(own := path.relative_to(root), ast.parse(path.read_text()), own.parts[0] not in TOLD_TO_PROGRAMS)
            for root in ROOTS
            for path in sorted(root.rglob("*.py"))
        ]
    )


@cache
def collect() -> tuple[frozenset[str], frozenset[str]]:
    """Collect every string of the code that may be a sentence, and the sentences of refusals, in one pass."""
    code = read_code()
    told = {template for module in code.modules for template in _list_told_by(code, module)}
    told = {template for template in told if " " in template.strip("{}0123456789: ")}
    said = {
        write_template(wording)
        for module in code.modules
        for node in module.nodes
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for wording in code.find(module, node)
    }
    said = {template for template in said if " " in template}
    told |= {*list_found(told), *OF_READERS, *OF_OTHERS, *KINDS}
    return frozenset(said | told), frozenset(told)


def collect_all() -> frozenset[str]:
    """Collect every string of the code that may be a sentence: what the catalogue has must be among them."""
    return collect()[0]


def collect_told() -> frozenset[str]:
    """Collect the sentences of refusals: what pages show, and what the API answers who asks for another language."""
    return collect()[1]


def _list_told_by(code: Wordings, module: Module) -> Iterator[str]:
    """List the sentences that a module tells whoever has sent something, as templates."""
    path = module.path
    is_told_in_chinese = any(map(path.match, TOLD_IN_CHINESE))
    is_validator = any(map(path.match, VALIDATORS))
    is_describer = any(map(path.match, DESCRIBERS))
    for node in module.nodes:
        told: list[ast.expr] = []
        if module.is_heard:
            told += _list_told(node, is_validator=is_validator, is_describer=is_describer)
        if is_told_in_chinese:
            told += _list_refused(node)
        yield from (write_template(wording) for each in told for wording in code.find_all(module, each))


def _list_told(node: ast.AST, *, is_validator: bool, is_describer: bool) -> list[ast.expr]:
    """List what a node tells whoever has sent something."""
    told: list[ast.expr] = []
    if isinstance(node, ast.Call) and _makes_refusal(node.func):
        told = [each for each in node.args if not isinstance(each, ast.Dict)]  # what is no text: headers
    elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and is_validator:
        told = node.exc.args
    elif isinstance(node, ast.Return) and node.value is not None and is_describer:
        told = [each for each in ast.walk(node.value) if isinstance(each, ast.JoinedStr | ast.Constant)]
        told = [
            each for each in told if not any(each in other.values for other in told if isinstance(other, ast.JoinedStr))
        ]
    return told


def _list_refused(node: ast.AST) -> list[ast.expr]:
    """List what a facade refuses a field for."""
    is_refusal = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "refuse"
    return node.args[1:2] if is_refusal else []  # type: ignore[attr-defined]


def _makes_refusal(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in MADE_BY or (isinstance(function.value, ast.Name) and function.value.id == "errors")
    return isinstance(function, ast.Name) and function.id in MADE_BY


def find_faults() -> list[str]:
    """Find what the catalogue lacks, what nobody says any more, and places that a translation loses."""
    kept = list_messages(read_catalogue("zh", DOMAIN))
    faults = [f"missing: {each!r}" for each in collect_told() if each not in kept]
    faults += [f"unused: {each!r}" for each in kept if each not in collect_all()]
    faults += [f"not translated: {each!r}" for each, message in kept.items() if not message.string or message.fuzzy]
    return faults


def renew() -> None:
    """Bring the catalogue to what is said now; what is translated stays."""
    kept = list_messages(read_catalogue("zh", DOMAIN))
    renewed = Catalog(locale="zh", domain=DOMAIN)
    for each in sorted({*collect_told(), *(str(known) for known in kept if known in collect_all())}):
        known = kept.get(each)
        renewed.add(each, known.string if known else None)
    with (Path(broker.__file__).parent / f"console/locales/zh/{DOMAIN}.po").open("wb") as out:
        out.write(b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: zh\\n"\n\n')
        write_po(out, renewed, width=120, omit_header=True, sort_output=True)


if __name__ == "__main__":
    renew()
    sys.stdout.writelines(f"{fault}\n" for fault in find_faults())
