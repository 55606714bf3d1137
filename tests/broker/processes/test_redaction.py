"""What no line of the log tells, whatever an error quotes."""

import json
import logging
import secrets
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from broker.config import Settings
from broker.identity.model import RunBearer, make_key, make_session_token, sign_run_token
from broker.processes.logs import configure_logging
from broker.processes.redaction import STRUCK, Redaction
from broker.webhooks.signatures import make_secret

SECRET = "SeCrEt+of/this_test=="
URL_SECRET = quote(SECRET, safe="")
KEPT_AND_STRUCK = [
    (f"the key lbk_0a1b2c3d_{SECRET[:6]} was tried", "the key lbk_0a1b2c3d_", " was tried"),
    (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ", ""),
    (f"proxy says basic {SECRET}", "proxy says basic ", ""),
    (f"postgresql://app:{URL_SECRET}@db:5432/broker is away", "postgresql://app:", "@db:5432/broker is away"),
    (f"mailtos://me:{URL_SECRET}@mail.example.com", "mailtos://me:", "@mail.example.com"),
    (f"null value\nDETAIL:  Failing row contains (a, {SECRET}).", "null value\nDETAIL:  ", ""),
    (f"[parameters: {{'sealed': '{SECRET}'}}]", "[parameters: ", ""),
    ("Stripe refused sk_test_51Habc and rk_live_9zz", "Stripe refused sk_test_", " and rk_live_" + STRUCK),
]


@pytest.mark.parametrize(("line", "before", "after"), KEPT_AND_STRUCK, ids=range(len(KEPT_AND_STRUCK)))
def test_secrets_are_struck_out_and_the_rest_stays(line: str, before: str, after: str) -> None:
    assert Redaction().strike(line) == f"{before}{STRUCK}{after}"


@pytest.mark.parametrize(
    "line",
    [
        "GET /v1/jobs/job_01k role=customer",
        "API at http://127.0.0.1:8000/docs, console at http://127.0.0.1:8000/console/",
        "lora bearer of the run, basic words",
        "deployed from git@example.com:acme/broker",
        "http://head:8265 does not answer",
    ],
)
def test_lines_without_a_secret_stay_as_they_are(line: str) -> None:
    assert Redaction().strike(line) == line


def test_what_the_broker_itself_makes_is_struck_out() -> None:
    made = [make_key().clear, make_session_token(), make_secret()]
    made += [sign_run_token(b"k" * 32, RunBearer("run_01k", "cus_01k"))]
    told = Redaction().strike(f"seen: {' '.join(made)}.")
    assert [word for word in made if word[-12:] in told] == []


def test_what_the_settings_name_is_struck_out_wherever_it_stands() -> None:
    words = [secrets.token_hex(16) for _ in range(6)]
    settings = Settings(
        secret_key=words[0],
        notice_mail_url=f"mailtos://{words[1]}",
        ray_token=words[2],
        oidc_client_secret=SecretStr(words[3]),
        stripe_webhook_secret=SecretStr(f"{words[4]},{words[5]}"),
    )
    told = Redaction.of(settings).strike("; ".join(words))
    assert not any(word in told for word in [words[0], *words[2:]])
    assert f"mailtos://{words[1]}" not in Redaction.of(settings).strike(f"sent by mailtos://{words[1]}")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_log_strikes_secrets_out_of_messages_fields_and_tracebacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(Settings(data_dir=tmp_path, log_format=log_format))
    log, quoted = logging.getLogger("broker.somewhere"), f'Bearer {SECRET} in "quotes"\nDETAIL: Row "{SECRET}".'
    log.info("said %s", quoted, extra={"answer": {"headers": [quoted]}})
    log.error("failed", exc_info=ValueError(quoted))
    told = capsys.readouterr().err
    assert SECRET not in told
    assert SECRET not in str([json.loads(line) for line in told.splitlines()] if log_format == "json" else "")
    assert told.count(STRUCK) >= 4


@pytest.mark.usefixtures("restored")
def test_of_others_libraries_only_warnings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A past fault: at level `debug` the HTTP library told the headers of each answer, and forms were told in parts."""
    configure_logging(Settings(data_dir=tmp_path, log_level="debug"))
    for name in ("httpcore2.http11", "httpx2", "python_multipart", "mcp.server", "some.other"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("worth it")
    logging.getLogger("broker.jobs").debug("ours")
    told = capsys.readouterr().err
    assert "chatter" not in told
    assert told.count("worth it") == 5
    assert "ours" in told
