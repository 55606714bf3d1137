"""Secrets in a log are replaced, and what is none stays."""

import pytest

from broker.identity.model import RunBearer, make_key, make_session_token, sign_run_token
from broker.jobs.rules.redaction import REDACTED, redact_secrets

OURS = {
    "key": make_key().clear,
    "session": make_session_token(),
    "run": sign_run_token(b"secret", RunBearer("run_01k", "cus_01k")),
}


@pytest.mark.parametrize(
    "secret",
    [
        *(pytest.param(secret, id=name) for name, secret in OURS.items()),
        "sk_live_51Habcdefghijk",
        "hf_AbCdEfGhIjKlMnOpQrSt",
        "ghp_0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    ],
)
def test_a_key_is_replaced_wherever_it_stands(secret: str) -> None:
    for text in (f"got {secret}", f"({secret})", f"--key={secret}", f"https://x/?t={secret}&a=1"):
        assert secret not in redact_secrets(text)
        assert REDACTED in redact_secrets(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("password=hunter2 next", f"password={REDACTED} next"),
        ('{"api_key": "abc", "a": 1}', f'{{"api_key": "{REDACTED}", "a": 1}}'),
        ("Authorization: Bearer abcdefghij", f"Authorization: Bearer {REDACTED}"),
        ("postgresql://u:pw@host/db", f"postgresql://u:{REDACTED}@host/db"),
        ("HF_TOKEN", "HF_TOKEN"),
    ],
)
def test_what_a_name_says_is_a_secret_is_replaced(text: str, kept: str) -> None:
    assert redact_secrets(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "step 10/80 loss 2.31 tokens/s 210 1.90 it/s 0:00:37 left cost 1.30 CNY",
        "succeeded: 95 GPU-seconds, 12840 tokens",
        "run run_01k of job_01k, attempt 1",
        "step 6 sample of 'basic tea?': calm",
    ],
)
def test_what_a_training_writes_stays(text: str) -> None:
    assert redact_secrets(text) == text
