"""`broker jobs submit --require … --promote …`: exit codes that a pipeline relies on."""

import json
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer
import yaml

from broker.cli.failures import ExitCode
from broker.cli.remote.jobs import gate
from broker.cli.remote.jobs.gate import Condition
from broker.cli.remote.jobs.submit import submit_job
from tests.broker.cli.conftest import Run
from tests.broker.served import Buyer, free_port

ADAPTER = {"metrics": {"final_loss": 1.25, "validation_loss": None, "steps": 40}, "cost": {"amount": "3.40"}}


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("final_loss<1.3", None),
        ("final_loss < 1.25", "final_loss is 1.25, not < 1.25"),
        ("final_loss<=1.25", None),
        ("steps==40", None),
        ("cost<=3.4", None),
        ("cost<3", "cost is 3.4, not < 3"),
        ("validation_loss<9", "validation_loss is not known"),
    ],
)
def test_a_requirement_says_what_is_wrong(typed: str, fault: str | None) -> None:
    assert Condition.read(typed).find_fault(ADAPTER) == fault


@pytest.mark.parametrize("typed", ["loss<1", "final_loss", "final_loss<low", "final_loss<NaN"])
def test_what_is_no_requirement_is_refused_before_anything_is_submitted(typed: str) -> None:
    with pytest.raises(typer.BadParameter):
        Condition.read(typed)


@contextmanager
def open_server() -> Iterator[tuple[str, list[str]]]:
    """Serve adapters as far as a push can see."""
    got: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_pipeline_knows_by_the_exit_code_what_came_of_it(
    run: Run, buyer: Buyer, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "POLL_SECONDS", 0.05)
    submit = ("jobs", "submit", "--yes", *order, "--label", "style=ci")
    missed = run(*submit, "--wait", "--require", "cost>9999", "--promote", "test")
    assert (missed.exit_code, "cost is" in missed.stdout) == (ExitCode.NOT_MET, True), missed.output
    assert run("adapters", "stages", "--name", "ci", "--json").stdout.count("stg_") == 0, "nothing was promoted"
    wrong = run(*submit, "--promote", "prod")
    assert (wrong.exit_code, "none of test, production" in wrong.stderr) == (ExitCode.USAGE, True)
    with open_server() as (address, got):
        named = run("environments", "create", "ci box", address, "--stage", "test", "--customer", buyer.customer_id)
        assert named.exit_code == ExitCode.OK, named.output
        passed = run(*submit, "--require", "cost<9999", "--require", "steps>0", "--promote", "test")
        assert passed.exit_code == ExitCode.OK, passed.output
        assert ("ci box: live" in passed.stdout, got) == (True, ["/v1/adapters/ci"])
    moved = run("environments", "change", "ci box", "--to", f"http://127.0.0.1:{free_port()}")
    assert moved.exit_code == ExitCode.OK, moved.output
    late = run(*submit, "--promote", "test", "--live-within", "1", "--reason", "late")
    assert (late.exit_code, "ci box: failed: no connection" in late.stdout) == (ExitCode.NOT_LIVE, True), late.output
    shown = run("environments", "show", "ci box")
    assert ("failed" in shown.stdout, "no connection" in shown.stdout) == (True, True)
    promotions = json.loads(run("adapters", "promotions", "--name", "ci", "--json").stdout)["data"]
    assert [each["reason"] == "late" for each in promotions] == [True, False]
    undone = run("adapters", "undo", promotions[0]["id"], "--reason", "worse")
    assert promotions[1]["adapter_id"] in undone.stdout
    again = run("adapters", "promote", "ci_v3", "--stage", "test", "--reason", "after all")
    assert (again.exit_code, "ci v3 is what test has now" in again.stdout) == (ExitCode.OK, True), again.output
    assert "approved" in run("adapters", "tag", "ci_v3", "approved").stdout
    out = run("adapters", "withdraw", "ci_v3", "--stage", "test", "--reason", "over")
    assert "test has no ci any more" in out.stdout
    assert "is removed" in run("environments", "remove", "ci box").stdout


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_example_of_a_pipeline_types_what_the_command_takes(name: str) -> None:
    text = (Path(__file__).parents[5] / "examples" / "ci" / name).read_text(encoding="utf-8")
    yaml.safe_load(text)
    typed = text[text.index("broker submit") :].split("\n\n")[0].split("#")[0].split("allow_failure")[0]
    words = shlex.split(" ".join(typed.split()))[2:]
    app = typer.Typer()
    app.command()(submit_job)
    known = {option for each in typer.main.get_command(app).params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert Condition.read(words[words.index("--require") + 1]).name == "final_loss"
