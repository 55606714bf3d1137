"""What an expression may say is found also where a name, a parameter or a function stands for it."""

import ast
from pathlib import Path

import pytest

from tests.broker.console.wordings import Module, Wordings, write_template

CODE = """
CURES = {"gpus": "add machines", "name": "choose another"}

def by_name(count):
    told = f"{count} rows cannot be used"
    if count > 9:
        told += "; send fewer"
    refuse(told)

def by_parameter(found):
    tell(f"is {found} already")
    tell("was never there") if found else None

def tell(message, *, cure="none"):
    refuse(message)

def by_return(gpus):
    field, cure = name_cure(gpus)
    refuse(f"{gpus} are too many: {cure}")

def name_cure(gpus):
    if gpus:
        return "gpus", f"ask for {gpus} or fewer"
    return "pool", "open a pool"

def by_table(field):
    refuse(CURES.get(field, "cannot be set here"))

def by_choice(left):
    refuse("pay " + ("all of it" if left else "nothing") + " first")

def in_a_circle(told):
    told = told or told
    refuse(told)
"""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("by_name", {"{1} rows cannot be used", "{1} rows cannot be used; send fewer"}),
        ("tell", {"is {1} already", "was never there"}),
        ("by_return", {"{1} are too many: {2}", "ask for {1} or fewer", "open a pool"}),
        ("by_table", {"add machines", "choose another", "cannot be set here"}),
        ("by_choice", {"pay all of it first", "pay nothing first"}),
        ("in_a_circle", set()),
    ],
)
def test_what_a_refusal_says_is_found_wherever_it_is_written(function: str, said: set[str]) -> None:
    """A past fault: a refusal whose text was in a variable had no Chinese, and nothing said so."""
    module = Module(Path("code.py"), ast.parse(CODE), is_heard=True)
    wordings = Wordings([module])
    ((_module, found),) = wordings.functions[function]
    calls = [node for node in ast.walk(found) if isinstance(node, ast.Call) and ast.unparse(node.func) == "refuse"]
    told = [wording for call in calls for wording in wordings.find_all(module, call.args[0])]
    assert {write_template(wording) for wording in told} == said


def test_what_is_handed_over_where_only_programs_read_it_is_not_told_to_people() -> None:
    asking = Module(Path("workers/a.py"), ast.parse("tell('this run trains')"), is_heard=False)
    telling = Module(Path("errors.py"), ast.parse("def tell(message):\n    refuse(message)"), is_heard=True)
    wordings = Wordings([asking, telling])
    (call,) = [call for _module, call in wordings.calls["refuse"]]
    assert wordings.find(telling, call.args[0]) == []
