"""The sentences that services make, collected from their code as templates with numbered places.

`python -m tests.broker.console.sentences` writes into the catalogue what customers can be told and it lacks, and lists
what is still to be translated; a sentence of another room is added by hand, as its template.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

import broker
import pricing
from broker.console.frame.catalogue import read_catalogue
from broker.console.frame.sentences import DOMAIN
from tests.broker.console.catalogues import list_messages

ROOTS = (Path(broker.__file__).parent, Path(pricing.__file__).parent)
# Whose refusals a customer's pages show: each of their sentences must be in the catalogue.
TOLD_TO_CUSTOMERS = ("adapters", "arrears", "console", "datasets", "errors.py", "identity", "jobs", "quotes")
# Whose refusals pages of finance and of operations show.
TOLD_TO_STAFF = ("approvals", "audit", "billing", "capacity", "contracts", "fapiao", "ledger", "notices", "operations")
TOLD_TO_STAFF += ("payments", "scheduling", "second_person.py", "signing")
MADE_BY = frozenset({"invalid_field", "FieldError"})
# Sentences that other programs make: pydantic's, of the fields that forms have.
OF_OTHERS = frozenset(
    {
        "Decimal input should have no more than {1} decimal places",
        "Decimal input should have no more than {1} digits before the decimal point",
        "Decimal input should have no more than {1} digits in total",
        "Field required",
        "Extra inputs are not permitted",
        "Input should be {1}",
        "Input should be greater than {1}",
        "Input should be greater than or equal to {1}",
        "Input should be less than {1}",
        "Input should be less than or equal to {1}",
        "Input should be a valid integer, unable to parse string as an integer",
        "Input should be a valid integer",
        "Input should be a valid number",
        "Input should be a valid decimal",
        "Input should be a finite number",
        "Input should be a valid string",
        "Input should be a valid number, unable to parse string as a number",
        "Input should be a valid boolean, unable to interpret input",
        "String should have at least {1} character",
        "String should have at least {1} characters",
        "String should have at most {1} characters",
        "String should match pattern '{1}'",
    }
)
# Words that stand in the places of sentences.
KINDS = frozenset(
    {"job", "adapter", "dataset", "quote", "contract", "project", "customer", "API key", "page", "panel", "picture"}
    | {"GPU-hours", "tokens", "answers", "never", "true-up"}
    | {"invoice", "grant", "run", "batch", "hold of job", "pictures", "text", "with", "without"}
)


def write_template(node: ast.expr) -> str | None:
    """Write a string of the code as a template; None where it is none, or no sentence."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    places = iter(range(1, 100))
    parts = [each.value if isinstance(each, ast.Constant) else f"{{{next(places)}}}" for each in node.values]
    return "".join(str(part) for part in parts)


def _walk(root: Path) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path.relative_to(root), node


@cache
def collect_all() -> frozenset[str]:
    """Collect every string of the code that may be a sentence: what the catalogue has must be among them."""
    nodes = (node for root in ROOTS for _path, node in _walk(root) if isinstance(node, ast.expr))
    found = {template for node in nodes if (template := write_template(node)) and " " in template}
    return frozenset(found | OF_OTHERS | KINDS)


@cache
def collect_told() -> frozenset[str]:
    """Collect the sentences of refusals that customers' pages show."""
    found: set[str] = set()
    for path, node in _walk(ROOTS[0]):
        if (
            path.parts[0] in (*TOLD_TO_CUSTOMERS, *TOLD_TO_STAFF)
            and isinstance(node, ast.Call)
            and _makes_refusal(node.func)
        ):
            told = (write_template(argument) for argument in node.args)
            found |= {each for each in told if each and " " in each.strip("{}0123456789: ")}
    return frozenset(found | OF_OTHERS | KINDS)


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
