"""The name under which a base model is offered. Pure."""

import re

from broker.errors import OperatorError
from pricing.catalog import find_base_model
from pricing.catalog.spellings import fold_spelling

NAME = re.compile(r"[0-9a-z][0-9a-z._-]{0,63}")


def choose_name(wanted: str) -> str:
    """Choose the name of a model: the catalogue's own spelling where it is one of its names, else in lower case.

    Raises: OperatorError.
    """
    known = find_base_model(wanted)
    if known is not None and fold_spelling(known.name) == fold_spelling(wanted):
        return known.name
    name = wanted.casefold()
    if not NAME.fullmatch(name):
        raise OperatorError(f"{wanted!r} is no name of a model; give a --name of letters, digits, dots and hyphens")
    return name
