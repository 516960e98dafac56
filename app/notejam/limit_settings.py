"""How often something may be tried: the limits, as the settings give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta

from notejam.environment import ConfigError, read_choice

MINUTE = timedelta(minutes=1)
_UNITS = {"s": timedelta(seconds=1), "m": MINUTE, "h": 60 * MINUTE}
_LONGEST = timedelta(hours=24)
_LIMIT = re.compile(r"(?P<count>[1-9][0-9]{0,6})/(?P<length>[1-9][0-9]{0,4})(?P<unit>[smh])")
OFF = "off"


@dataclass(frozen=True)
class Limit:
    """So many times, within a window of time that begins with the first."""

    count: int
    window: timedelta


@dataclass(frozen=True)
class Limits:
    """All limits; None is no limit. An address is a network address, an account an email address."""

    sign_in_account: Limit | None = Limit(10, 15 * MINUTE)
    sign_in_address: Limit | None = Limit(100, 15 * MINUTE)
    sign_up_address: Limit | None = Limit(20, 60 * MINUTE)
    forgot_account: Limit | None = Limit(5, 60 * MINUTE)
    forgot_address: Limit | None = Limit(5, 60 * MINUTE)


DEFAULTS = Limits()
NO_LIMITS = Limits(**dict.fromkeys(field.name for field in fields(Limits)))


def read_limits(environ: Mapping[str, str]) -> Limits:
    """Read NOTEJAM_RATE_LIMITS (on, off) and NOTEJAM_LIMIT_SIGN_IN_ACCOUNT and so on (10/15m, off)."""
    read = {field.name: _read_limit(environ, field.name) for field in fields(Limits)}
    return NO_LIMITS if read_choice(environ, "NOTEJAM_RATE_LIMITS", ("on", OFF)) == OFF else Limits(**read)


def _read_limit(environ: Mapping[str, str], field: str) -> Limit | None:
    default: Limit = getattr(DEFAULTS, field)
    name = f"NOTEJAM_LIMIT_{field.upper()}"
    text = environ.get(name)
    if not text:
        return default
    if text == OFF:
        return None
    found = _LIMIT.fullmatch(text)
    window = int(found["length"]) * _UNITS[found["unit"]] if found else timedelta()
    if found is None or window > _LONGEST:
        example = f"{name}={default.count}/{default.window // MINUTE}m"
        raise ConfigError(name, 'must be a count and a time of at most 24 hours, or "off"', example)
    return Limit(int(found["count"]), window)
