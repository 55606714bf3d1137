"""What a language model reads of the service: all operations, and addresses that are there."""

import re

from fastapi import FastAPI

from tests.broker.factories import Api


async def test_every_operation_stands_there_once_and_every_link_leads_somewhere(app: FastAPI) -> None:
    async with Api.connect(app, "none") as stranger:
        text = (await stranger.http.get("/llms.txt")).raise_for_status().text
        described = app.openapi()["paths"]
        operations = {(method.upper(), path) for path, item in described.items() for method in item}
        listed = re.findall(r"^- `([A-Z]+) (\S+)`: \S", text, re.MULTILINE)
        assert (set(listed), len(listed)) == (operations, len(operations))
        for method, path in re.findall(r"`(GET|POST) (/v1\S+)`", text.split("## ")[0]):
            assert (method, path) in operations
        for address in re.findall(r"\]\((/\S+)\)", text):
            assert (await stranger.http.get(address)).status_code != 404 or address in ("/openai/v1", "/hf")
