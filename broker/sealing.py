"""Sealing: what is secret of a customer is kept encrypted, so that a copy of the database gives nothing of it away.

The key is made of the installation's secret, which is never in the database. What was sealed by another secret cannot
be opened any more: it is sealed anew while the former secret is still known (`reseal`), or to be named anew.
"""

import hashlib
from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken

# The bytes are those of the first things that were sealed: another salt could open none of them.
SALT = b"lora-broker notice contacts"
# The cost of one guess, some 50 ms, as for the hash of the secret: a person may have made it up.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def seal(secret: bytes, text: str) -> str:
    """Encrypt a text; twice the same text looks different."""
    return _open_cipher(secret).encrypt(text.encode()).decode()


def find_sealed(secret: bytes, sealed: str) -> str | None:
    """Find what a text was before it was sealed; None where another secret has sealed it, or none."""
    try:
        return _open_cipher(secret).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def reseal(former: bytes, secret: bytes, sealed: str) -> str | None:
    """Seal anew what a former secret has sealed; what the present one can open stays, None where neither can."""
    if find_sealed(secret, sealed) is not None:
        return sealed
    text = find_sealed(former, sealed)
    return None if text is None else seal(secret, text)


@lru_cache(maxsize=2)
def _open_cipher(secret: bytes) -> Fernet:
    return Fernet(urlsafe_b64encode(hashlib.scrypt(secret, salt=SALT, **SCRYPT)))
