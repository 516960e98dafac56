"""Passwords as Postgres stores them (SCRAM-SHA-256), so that none is sent to it or written to its log."""

import base64
import hashlib
import hmac
import re
import secrets

ITERATIONS = 4096
_STORED = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")


def make_verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return what Postgres keeps of a password."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored)}:{_text(server)}"


def matches(password: str, verifier: str | None) -> bool:
    """Whether a stored verifier is that of a password."""
    found = _STORED.fullmatch(verifier or "")
    if not found:
        return False
    salt, iterations = base64.b64decode(found[2]), int(found[1])
    return hmac.compare_digest(make_verifier(password, salt, iterations), found[0])


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
