"""Secrets in what a program wrote: replaced before anything of it is kept. Pure."""

import re
from collections.abc import Collection
from urllib.parse import quote

REDACTED = "[redacted]"
# Keys by how they look: the broker's own, Stripe's, Hugging Face's, GitHub's, AWS's, of OpenAI's kind, and JWT.
LOOKS = (
    r"\blb[ksr][_.][A-Za-z0-9_.~+/=-]{8,}",
    r"\b[srp]k_(?:live|test)_\w{8,}",
    r"\bhf_\w{16,}",
    r"\bgh[pousr]_\w{16,}",
    r"\bgithub_pat_\w{16,}",
    r"\bsk-[\w-]{16,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
)
# What follows a name that says what it is, or the scheme of a header; and the password of an address.
NAMED = (
    r"(?i)\b((?:[\w-]*(?:password|passwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|run[_-]?token)|token)"
    r"\s*[\"']?\s*[=:]\s*[\"']?)[^\s\"',;]+"
)
SCHEME = r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
ADDRESS = r"([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)"
ALONE = re.compile("|".join(LOOKS))
AFTER = [re.compile(pattern) for pattern in (SCHEME, NAMED, ADDRESS)]


def redact_secrets(text: str, known: Collection[str] = ()) -> str:
    """Replace by a mark what looks like a key, a token or a password, and those that are known, however they look."""
    for secret in sorted(known, key=len, reverse=True):
        for written in {secret, quote(secret, safe="")}:
            text = text.replace(written, REDACTED)
    text = ALONE.sub(REDACTED, text)
    for pattern in AFTER:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text
