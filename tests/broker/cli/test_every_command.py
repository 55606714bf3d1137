"""Every command: it writes one JSON document where it is asked to, and says all that it is in both languages."""

import json
import re
import shlex
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from broker.cli import main
from broker.cli.examples import list_examples
from broker.cli.failures import ExitCode
from broker.cli.words import load_catalogue
from tests.broker.cli.commands import list_commands, list_needed
from tests.broker.cli.sayings import list_missing, list_unfilled, list_unsaid
from tests.broker.factories import CONFIG

# They go on until they are ended: what they say on the way is a log.
WITHOUT_END = frozenset({"serve", "worker", "demo"})
REMOTE = [name for name, (_command, target) in list_commands().items() if target.startswith("broker.cli.remote")]
# What is typed in place of, or besides, what every command needs.
BESIDES = {
    "login": ["--api-key", "lbk_x"],
    "quote": ["--data", "any.json", "--config", "any.json"],
    "quotes create": ["--data", "any.json", "--config", "any.json"],
    "submit": ["--quote", "quo_1"],
    "jobs submit": ["--quote", "quo_1"],
    "jobs set": ["--name", "any"],
    "jobs sweep": ["--data", "any.json"],
    "secrets set": ["--kind", "wandb"],
    "templates create": ["--project", "prj_1"],
    "contracts quota set": ["--max-gpus", "8"],
    "grants give": ["--hours", "5"],
    "purchases create": ["--hours", "5"],
    "queues set": ["--weight", "200"],
    "pools maintenance": ["--clear"],
    "pools stops": ["--as-everywhere"],
}
# They read a file that another command makes, or wait until a job has ended; their own tests have one.
WITH_OWN_TESTS = frozenset(
    {
        *("jobs watch", "jobs sweep"),
        *("jobs tensorboard", "customers export", "customers check-archive", "invoices verify", "chart set"),
        *("approvals propose", "rate-cards publish"),
    }
)


class Examples:
    """An API that answers each route with the example that its document gives."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.schemas = document["components"]["schemas"]
        self.routes = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in document["paths"].items()
        ]

    def answer(self, method: str, path: str) -> Any:
        """Answer a request; None: with nothing."""
        fitting = (methods for pattern, methods in self.routes if pattern.fullmatch(path) and method in methods)
        responses = next(fitting)[method]["responses"]
        status = next(code for code in ("200", "201", "202", "204") if code in responses)
        content = responses[status].get("content", {})
        return self.make(content["application/json"]["schema"]) if "application/json" in content else None

    def make(self, schema: dict[str, Any]) -> Any:
        """Make the example of a schema: its members' own, and of a list one."""
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        known = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
        if known:
            return self.make({**schema, **known[0], "anyOf": []})
        if "properties" in schema:
            return {name: self.make(member) for name, member in schema["properties"].items()} | self._end(schema)
        for name in ("const", "default"):
            if schema.get(name) is not None:
                return schema[name]
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
            return [self.make(schema["items"])]
        return schema["examples"][0] if schema.get("examples") else {}

    @staticmethod
    def _end(schema: dict[str, Any]) -> dict[str, Any]:
        return {"next_cursor": None} if "next_cursor" in schema["properties"] else {}


@pytest.fixture(scope="module")
def url(routed_app: FastAPI) -> Iterator[str]:
    examples = Examples(routed_app.openapi())

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = examples.answer(self.command.lower(), urlsplit(self.path).path)
            content = b"" if found is None else json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 (the standard library's names)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("name", sorted(list_commands().keys() - WITHOUT_END))
def test_every_command_can_write_json(name: str) -> None:
    command, _target = list_commands()[name]
    assert "--json" in {option for param in command.params for option in param.opts}


@pytest.mark.parametrize("name", [name for name in REMOTE if name not in WITH_OWN_TESTS])
def test_every_command_that_asks_the_api_writes_one_json_document(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "any.json").write_text(json.dumps(CONFIG))
    command, _target = list_commands()[name]
    options = {option for param in command.params for option in param.opts}
    yes = ["--yes"] if "--yes" in options else []
    line = [*name.split(), *list_needed(command, tmp_path), *BESIDES.get(name, []), *yes, "--json"]
    environment = {"BROKER_URL": url, "BROKER_API_KEY": "lbk_x", "XDG_CONFIG_HOME": str(tmp_path)}
    done = CliRunner().invoke(main.app, line, env=environment)
    assert done.exit_code in {ExitCode.OK, ExitCode.FAILED}, (line, done.output, done.exception)
    document = json.loads(done.stdout)
    assert done.stdout == json.dumps(document, ensure_ascii=False, indent=2) + "\n", "one form, whichever command"


def test_the_help_of_every_command_ends_with_a_line_that_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "style_train").mkdir(parents=True)
    shown = set()
    for line in list_examples():
        words = shlex.split(line)[1:]
        for word in words:
            if re.fullmatch(r"[\w-]+\.(csv|json|jsonl|yaml|pdf|ofd|zip|key|secret|gz|swf\.gz)", word):
                (tmp_path / word).touch()
        (name,) = [name for name in list_commands() if words[: len(name.split())] == name.split()]
        command, _target = list_commands()[name]
        with command.make_context(name, words[len(name.split()) :]):  # which closes the files that it opened
            shown.add(name)
    assert list_commands().keys() - shown == set()
    told = CliRunner().invoke(main.app, ["contracts", "quota", "set", "--help"], env={"LC_ALL": "C"}).stdout
    assert "Example: broker contracts quota set con_01k" in told
    assert "示例：broker jobs watch" in CliRunner().invoke(main.app, ["jobs", "watch", "--help", "--lang", "zh"]).stdout


def test_all_that_is_said_has_its_chinese() -> None:
    """`python -m tests.broker.cli.sayings` lists what `broker/cli/locales/zh.json` lacks."""
    assert list_missing() == []


def test_no_command_writes_a_sentence_in_one_language_alone() -> None:
    """Say it by `broker.cli.words.say`, of the rooms of finance, ops and the machine, too."""
    assert list_unsaid() == []


def test_every_place_of_a_sentence_is_filled() -> None:
    assert list_unfilled() == []


def test_chinese_has_the_places_of_its_english() -> None:
    places = re.compile(r"\{\w*\}")
    assert [
        text for text, chinese in load_catalogue().items() if {*places.findall(text)} != {*places.findall(chinese)}
    ] == []


def test_help_is_told_in_chinese_and_in_english_again() -> None:
    chinese = CliRunner().invoke(main.app, ["submit", "--help", "--lang", "zh"]).stdout
    assert "选项" in chinese
    assert "作业最高费用" in chinese
    assert "报价、排队、计量" in CliRunner().invoke(main.app, ["--help", "--lang", "zh"]).stdout
    assert "quotes, queues, meters" in CliRunner().invoke(main.app, ["--help"], env={"LC_ALL": "C"}).stdout
    amending = CliRunner().invoke(main.app, ["contracts", "amend", "--help"], env={"BROKER_LANG": "zh"}).stdout
    assert "变更合同" in amending
    assert "新的月预算" in amending
    assert "Most the job may cost" in CliRunner().invoke(main.app, ["submit", "--help"], env={"LC_ALL": "C"}).stdout
