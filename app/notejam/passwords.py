"""Passwords: the policy for new ones, the hashes, and a check that takes as long without an account."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore

from werkzeug.security import check_password_hash, generate_password_hash

SHORTEST = 8
LONGEST = 128
METHOD = "scrypt:32768:8:1"
# What Werkzeug still checks. The legacy app's own kind is checked below.
_KNOWN = re.compile(r"(scrypt|pbkdf2):[^$]+\$[^$]+\$.")

_LEGACY = re.compile(r"sha1\$[^$]+\$[0-9a-fA-F]{40}")

# scrypt takes 32 MiB a hash. Two at a time keep a process small however many people sign in at once.
_slots = BoundedSemaphore(2)


@contextmanager
def turn() -> Iterator[None]:
    """Wait for a turn to check a password, and hold it in this block. Nothing in it may make a hash."""
    with _slots:
        yield


def hash_password(password: str) -> str:
    """Hash a new password."""
    with _slots:
        return generate_password_hash(password, method=METHOD)


def check_password(stored: str | None, password: str) -> bool:
    """Check a password against what is stored, or against nothing in the same time. Needs a turn().

    A legacy hash is checked in no time, so it costs one of today's, too: else its age would show.
    """
    if stored is not None and _KNOWN.match(stored):
        with suppress(ValueError):  # a damaged hash
            return check_password_hash(stored, password)
    check_password_hash(_nobodys_hash(), password)
    return stored is not None and _check_legacy(stored, password)


def can_be_checked(stored: str) -> bool:
    """Whether there is any password that this is the hash of, as far as its form tells."""
    return bool(_KNOWN.match(stored) or _LEGACY.fullmatch(stored))


def needs_rehash(stored: str) -> bool:
    """Whether the hash of a password that was right is of an older kind than new ones."""
    return not stored.startswith(f"{METHOD}$")


def _check_legacy(stored: str, password: str) -> bool:
    """Check `sha1$salt$hex`, as Werkzeug 0.8 made it: HMAC-SHA1 of the password, keyed with the salt."""
    parts = stored.split("$")
    if len(parts) != 3 or parts[0] != "sha1" or not parts[1]:  # noqa: PLR2004 - kind, salt, hash
        return False
    made = hmac.new(parts[1].encode(), password.encode(), hashlib.sha1).hexdigest()
    return hmac.compare_digest(made.encode(), parts[2].lower().encode())


@cache
def _nobodys_hash() -> str:
    return generate_password_hash("", method=METHOD)


def is_common(password: str) -> bool:
    """Whether the password is among those that are guessed first."""
    return password.casefold() in _common()


@cache
def _common() -> frozenset[str]:
    text = (Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
