"""Passwords: the policy for new ones, the hashes, and a check that takes as long without an account."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import BoundedSemaphore

from werkzeug.security import check_password_hash, generate_password_hash

SHORTEST = 8
LONGEST = 128
METHOD = "scrypt"

# scrypt takes 32 MiB a hash. Two at a time keep a process small however many people sign in at once.
_slots = BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """Hash a new password."""
    with _slots:
        return generate_password_hash(password, method=METHOD)


def check_password(stored: str | None, password: str) -> bool:
    """Check a password against what is stored, or against nothing in the same time."""
    with _slots:
        return check_password_hash(stored or _nobodys_hash(), password) and stored is not None


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
