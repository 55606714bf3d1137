"""What was typed into a form of an earlier session: it goes through signing in, and is given back to be sent again.

The browser carries it, and nothing is kept here: a form that comes too late is sent on, as it is, to where a person
signs in (`ask_again`); it stands hidden in that page, and then in one that asks whether to send it now. A form with a
file, or a large one, is not carried: it is told that it was not sent.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile

from broker.console.frame import csrf
from broker.console.frame.forms import KEY_FIELD, VERSION_FIELD
from broker.http.body import find_type

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_BYTES = 32 * 1024
# Written as JSON, and then as a form again, it is a few times as long.
MOST_CARRIED_BYTES = 6 * MOST_BYTES
# What is carried and not shown: what the console itself put there, and what opens something elsewhere.
UNSEEN = frozenset({KEY_FIELD, VERSION_FIELD, "key", "token"})


@dataclass(frozen=True)
class Typed:
    """The fields of a form, and the page to which it goes."""

    action: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, action: str, form: FormData) -> "Typed":
        told = [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
        return cls(action, tuple((name, value) for name, value in told if name != csrf.FIELD))

    @classmethod
    def read(cls, action: str, written: str) -> "Typed | None":
        """Read what `write` wrote; None for anything else."""
        try:
            fields = json.loads(written)
        except ValueError:
            return None
        if not isinstance(fields, list) or not all(map(_is_field, fields)):
            return None
        return cls(action, tuple((name, value) for name, value in fields))

    def write(self) -> str:
        return json.dumps(self.fields, ensure_ascii=False)

    @property
    def shown(self) -> Iterable[tuple[str, str]]:
        """List what a person has filled in."""
        return [(name, value) for name, value in self.fields if name not in UNSEEN and value]


def _is_field(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value)


def is_carried(request: Request) -> bool:
    """Tell whether a form is carried through signing in: one that a person sends, without files, not too large."""
    length = request.headers.get("content-length", "")
    is_small = length.isdecimal() and 0 < int(length) <= MOST_BYTES
    is_form = request.method == "POST" and find_type(request).partition(";")[0].strip().lower() == FORM_TYPE
    return is_form and is_small and "HX-Request" not in request.headers


def ask_again(address: str, request: Request) -> Response:
    """Send a form on, as it is, to where its person signs in: a 307 has the browser send it again."""
    return RedirectResponse(f"{address}?to={quote(request.url.path, safe='')}", HTTPStatus.TEMPORARY_REDIRECT)
