"""Passwords as Postgres stores them (SCRAM-SHA-256), so that none is sent to it or written to its log."""

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

ITERATIONS = 4096
_STORED = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")
_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepare(password: str) -> str:
    """Prepare a password as Postgres and its clients do, by SASLprep (RFC 4013).

    One that it does not allow stays as it is. Unlike the RFC, they look for that before the normalization.
    """
    mapped = "".join(map(_map, password))
    if not mapped or any(is_in(letter) for is_in in _PROHIBITED for letter in mapped) or _mixes(mapped):
        return password
    return unicodedata.normalize("NFKC", mapped)


def _map(letter: str) -> str:
    # In this order: one letter is in both tables.
    if stringprep.in_table_c12(letter):
        return " "
    return "" if stringprep.in_table_b1(letter) else letter


def _mixes(text: str) -> bool:
    """Whether something in it runs from right to left, but not all of it."""
    from_right = [stringprep.in_table_d1(letter) for letter in text]
    if not any(from_right):
        return False
    return any(map(stringprep.in_table_d2, text)) or not (from_right[0] and from_right[-1])


def make_verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return what Postgres keeps of a password."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password).encode(), salt, iterations)
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
