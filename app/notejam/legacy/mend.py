"""What becomes of a row of a legacy database: brought over as it is, mended, or refused. No database here.

The legacy app checked no lengths, let nearly every column be empty, and wrote 0 where a note has no pad.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any

from notejam import forms, passwords
from notejam.models import NOTE_NAME_MAX, NOTE_TEXT_MAX_BYTES, PAD_NAME_MAX

Raw = Mapping[str, Any]
UNTITLED = "Untitled"
# No password has this for a hash.
NO_PASSWORD = "!"  # noqa: S105 - no hash is like it
HASH_MAX = 255
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_NOT_IN_A_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
ELLIPSIS = "…"


class RefusedError(Exception):
    """A row cannot be brought over; the text says why."""


@dataclass
class Mended:
    """The values of a new row, and what had to be mended."""

    values: dict[str, Any]
    mends: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ids:
    """What became of the rows that others point to: the new id, or None for one that was refused."""

    users: dict[int, int | None]
    pads: dict[int, int | None]
    owners: dict[int, int | None]  # of a new pad, its new owner


def mend_user(row: Raw) -> Mended:
    """Bring over an account. Whether its email is taken is another question."""
    made = Mended({})
    email = _text(row["email"], made)
    if email is None or not email.strip():
        raise RefusedError("it has no email")
    if email != email.strip():
        email = email.strip()
        made.mends.append("white space around the email was removed")
    problem = forms.problem_with(email, forms.EMAIL_RULES)
    if problem:
        raise RefusedError(f"nobody could sign in with its email: {problem}")
    stored = _text(row["password"], made) or ""
    if not passwords.can_be_checked(stored) or len(stored) > HASH_MAX:
        stored = NO_PASSWORD
        made.mends.append("it has no password that can be checked: a reset link sets one")
    made.values = {"email": email, "password": stored}
    return made


def mend_pad(row: Raw, ids: Ids) -> Mended:
    """Bring over a pad."""
    made = Mended({})
    owner = _owner(row, ids)
    if owner is None:
        raise RefusedError("it has no owner")
    name = _line(row["name"], made)
    if len(name) > PAD_NAME_MAX:
        name = name[: PAD_NAME_MAX - 1] + ELLIPSIS
        made.mends.append(f"its name was cut at {PAD_NAME_MAX} characters")
    made.values = {"name": name, "user_id": owner}
    return made


def mend_note(row: Raw, ids: Ids, *, zone: tzinfo, now: datetime) -> Mended:
    """Bring over a note. Bare times are in the zone; missing ones are now."""
    made = Mended({})
    pad = _pad(row, ids, made)
    owner = _owner(row, ids)
    if owner is None:
        owner = ids.owners.get(pad) if pad is not None else None
        if owner is None:
            raise RefusedError("it has no owner")
        made.mends.append("it had no owner: it went to the owner of its pad")
    if pad is not None and ids.owners.get(pad) != owner:
        pad = None
        made.mends.append("it was in somebody else's pad: it is in none now")
    name, text = _line(row["name"], made), _long_text(row["text"], made)
    if len(name) > NOTE_NAME_MAX:
        text = f"{name}\n\n{text}"
        name = name[: NOTE_NAME_MAX - 1] + ELLIPSIS
        made.mends.append(f"its name was cut at {NOTE_NAME_MAX} characters; all of it begins the text")
    if len(text.encode()) > NOTE_TEXT_MAX_BYTES:
        made.mends.append(
            "its text is longer than a form takes: it can be read, and must be cut to be changed"
        )
    updated = _instant(row["updated_at"], zone)
    created = _instant(row["created_at"], zone)
    if updated is None or created is None:
        made.mends.append("it had no date, or one that cannot be read")
    made.values = {
        "name": name,
        "text": text,
        "user_id": owner,
        "pad_id": pad,
        "created_at": created or updated or now,
        "updated_at": updated or created or now,
    }
    return made


def as_id(value: Any) -> int | None:
    """Read an id; 0 and whatever is none count as none. SQLite keeps anything anywhere."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number or None


def _owner(row: Raw, ids: Ids) -> int | None:
    legacy = as_id(row["user_id"])
    if legacy is None:
        return None
    if legacy not in ids.users:
        raise RefusedError("its owner does not exist")
    owner = ids.users[legacy]
    if owner is None:
        raise RefusedError("its owner was refused")
    return owner


def _pad(row: Raw, ids: Ids, made: Mended) -> int | None:
    legacy = as_id(row["pad_id"])
    if legacy is None:
        return None
    pad = ids.pads.get(legacy)
    if pad is None:
        state = "was refused" if legacy in ids.pads else "does not exist"
        made.mends.append(f"its pad {state}: it is in none now")
    return pad


def _text(value: Any, made: Mended) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            made.mends.append("bytes that are not UTF-8 were replaced")
            return value.decode("utf-8", "replace")
    return str(value)


def _line(value: Any, made: Mended) -> str:
    text = _text(value, made) or ""
    clean = _NOT_IN_A_LINE.sub(" ", text)
    if clean != text:
        made.mends.append("control characters in its name became spaces")
    if not clean.strip():
        made.mends.append(f"it had no name: it is {UNTITLED} now")
        return UNTITLED
    return clean


def _long_text(value: Any, made: Mended) -> str:
    if value is None:
        made.mends.append("it had no text")
        return ""
    text = _text(value, made) or ""
    clean = _NOT_IN_A_TEXT.sub("", text)
    if clean != text:
        made.mends.append("control characters in its text were removed")
    return clean


def _instant(value: Any, zone: tzinfo) -> datetime | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=zone)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=zone)
