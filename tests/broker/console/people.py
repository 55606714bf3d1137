"""A person at the console, without a browser between: signed in by a key, reading pages as HTML."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2 as httpx
from fastapi import FastAPI
from selectolax.lexbor import LexborHTMLParser

from broker.http.access import HEADER as REQUEST_ID_HEADER
from tests.broker.factories import Api, staff_key

# Only there does a session's cookie go over plain HTTP.
AT_HOME = "http://localhost"


@dataclass(frozen=True)
class Shown:
    """A page as it was answered."""

    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def request_id(self) -> str:
        return str(self.response.headers[REQUEST_ID_HEADER])

    @property
    def tree(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.response.text)

    @property
    def text(self) -> str:
        """Read the words of the page as a person sees them, in one line."""
        body = self.tree.body
        return "" if body is None else " ".join(body.text(separator=" ").split())

    def find(self, selector: str) -> str:
        """Read the words of the one element of this selector."""
        (found,) = self.tree.css(selector)
        return " ".join(found.text(separator=" ").split())

    def words_of(self, selector: str) -> list[str]:
        return [" ".join(each.text(separator=" ").split()) for each in self.tree.css(selector)]

    def attributes(self, selector: str, name: str) -> list[str]:
        return [each.attributes.get(name) or "" for each in self.tree.css(selector)]

    def state_of(self, panel: str) -> str:
        """Tell the state of a panel: ready, never, none_match, error, stale."""
        (state,) = self.attributes(f"#{panel}", "data-state")
        return state

    def hidden(self, form: str = "form") -> dict[str, str]:
        """Read the hidden fields of a form: its token and its key."""
        fields = self.tree.css(f"{form} input[type=hidden]")
        return {each.attributes["name"] or "": each.attributes.get("value") or "" for each in fields}


@dataclass
class Person:
    """Somebody who is signed in to the console."""

    http: httpx.AsyncClient

    async def open(self, path: str, *, expect: int = 200, part: str | None = None, **params: str) -> Shown:
        """Open a page; with `part`, ask for that panel alone as the page's script does."""
        headers = (
            {} if part is None else {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": f"div#{part}"}
        )
        response = await self.http.get(path, params=params or None, headers=headers)
        assert response.status_code == expect, response.text
        return Shown(response)

    async def send(
        self, path: str, fields: Mapping[str, str], *, of: Shown, form: str = "form", expect: int = 303
    ) -> Shown:
        """Send a form of a page that was shown, with its token and its key."""
        response = await self.http.post(path, data={**of.hidden(form), **fields})
        assert response.status_code == expect, response.text
        return Shown(response)


@asynccontextmanager
async def visit(app: FastAPI, *, language: str = "en", base_url: str = AT_HOME) -> AsyncIterator[Person]:
    """Open a browser of nobody in particular."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Accept-Language": language}
    async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers) as http:
        yield Person(http)


@asynccontextmanager
async def sign_in(app: FastAPI, key: str, *, language: str = "en") -> AsyncIterator[Person]:
    """Sign in with a key."""
    async with visit(app, language=language) as person:
        response = await person.http.post("/console/sign-in", data={"key": key})
        assert response.status_code == 303, response.text
        yield person


@asynccontextmanager
async def sign_in_staff(api: Api, role: str, *, language: str = "en") -> AsyncIterator[Person]:
    """Sign in as finance, ops or admin."""
    async with sign_in(api.app, await staff_key(api, role), language=language) as person:
        yield person


@asynccontextmanager
async def sign_in_customer(api: Api, customer_id: str, *, language: str = "en") -> AsyncIterator[Person]:
    """Sign in as a customer."""
    made = await api.post(f"/customers/{customer_id}/api-keys", {"name": "console"}, expect=201)
    async with sign_in(api.app, made["key"], language=language) as person:
        yield person
