"""The log as an operator reads it, or a machine does."""

import json
import logging
import secrets
from pathlib import Path

import pytest

from broker.config import Settings
from broker.log_context import bind
from broker.processes.logs import configure_logging


def tell(settings: Settings, capsys: pytest.CaptureFixture[str]) -> list[str]:
    configure_logging(settings)
    bind(request_id="req_1")
    log = logging.getLogger("broker.somewhere")
    log.debug("looked at %s", "it")
    log.info("中文 %s", "started", extra={"job_id": "job_1"})
    log.error("broke", exc_info=RuntimeError("line one\nline two"))
    return capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("restored")
def test_json_has_one_object_a_line_with_what_is_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told, broke = map(json.loads, tell(Settings(data_dir=tmp_path, log_format="json"), capsys))
    assert {"event": "中文 started", "job_id": "job_1", "request_id": "req_1", "level": "info"}.items() <= told.items()
    assert told["logger"] == "broker.somewhere"
    assert "line two" in broke["exception"]


@pytest.mark.usefixtures("restored")
def test_text_has_the_same_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told, *rest = tell(Settings(data_dir=tmp_path), capsys)
    assert all(part in told for part in ("中文 started", "job_id=job_1", "request_id=req_1", "info"))
    assert any("RuntimeError" in line for line in rest)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(("level", "told"), [("debug", 3), ("info", 2), ("error", 1)])
def test_level_is_a_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str, told: int) -> None:
    assert len(tell(Settings(data_dir=tmp_path, log_format="json", log_level=level), capsys)) == told


@pytest.mark.usefixtures("restored")
def test_what_is_told_cannot_begin_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A past fault: a path with a line break in it wrote a line of the log by itself."""
    configure_logging(Settings(data_dir=tmp_path))
    logging.getLogger("broker.somewhere").info("GET /a\n2026 [info] forged", extra={"name_of": "b\nc"})
    (line,) = capsys.readouterr().err.splitlines()
    assert "/a\\n2026" in line
    assert "b\\nc" in line


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_does_not_tell_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(Settings(data_dir=tmp_path, log_format=log_format))
    token = secrets.token_hex()
    try:
        refuse(token)
    except ValueError:
        logging.getLogger("broker.somewhere").exception("failed")
    told = capsys.readouterr().err
    assert "ValueError: asked in vain" in told
    assert token not in told


def refuse(token: str) -> None:
    raise ValueError("asked in vain" if token else "asked with nothing")
