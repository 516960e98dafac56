"""Limits in rate. They are kept in the database, so that they hold across processes and pods.

One row counts what one account or one network address has tried since its window began; the first try after
the window begins a new one. Names and addresses are kept as hashes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app, request
from sqlalchemy import case, delete, select
from werkzeug.exceptions import TooManyRequests

from notejam.config import Settings
from notejam.dates import now
from notejam.db import db
from notejam.limit_settings import Limit, Limits
from notejam.models import RateLimit
from notejam.writes import insert, sweep

SIGN_IN_ACCOUNT = "sign-in account"
IPV6_NETWORK = 64  # what one household or one rented server has to itself


@dataclass(frozen=True)
class Allowance:
    """How often one account or address may try one thing."""

    limit: Limit
    id: str


def sign_in_of(email: str) -> list[Allowance]:
    """Return what bounds wrong passwords for an account, whether it exists or not."""
    limits = _limits()
    return _allow(
        (SIGN_IN_ACCOUNT, limits.sign_in_account, email.lower()),
        ("sign-in address", limits.sign_in_address, client_network(request.remote_addr)),
    )


def sign_up() -> list[Allowance]:
    """Return what bounds the opening of accounts."""
    return _allow(("sign-up address", _limits().sign_up_address, client_network(request.remote_addr)))


def forgot(email: str) -> list[Allowance]:
    """Return what bounds mails with links, whether the account exists or not."""
    limits = _limits()
    return _allow(
        ("forgot account", limits.forgot_account, email.lower()),
        ("forgot address", limits.forgot_address, client_network(request.remote_addr)),
    )


def check(allowances: Sequence[Allowance]) -> None:
    """Raise TooManyRequests if one of them is used up."""
    if not allowances:
        return
    instant = now()
    rows = db.session.execute(
        select(RateLimit.id, RateLimit.count, RateLimit.expires_at).where(
            RateLimit.id.in_([allowance.id for allowance in allowances]), RateLimit.expires_at > instant
        )
    )
    _refuse(((id_, count + 1, expires_at) for id_, count, expires_at in rows), allowances, instant)


def use(allowances: Sequence[Allowance]) -> None:
    """Count one more try at once, for good; raise TooManyRequests if it is one too many."""
    if not allowances:
        return
    instant = now()
    fresh = insert(RateLimit).values(
        [
            {"id": allowance.id, "count": 1, "expires_at": instant + allowance.limit.window}
            for allowance in allowances
        ]
    )
    over = RateLimit.expires_at <= instant
    counted = fresh.on_conflict_do_update(
        index_elements=[RateLimit.id],
        set_={
            "count": case((over, 1), else_=RateLimit.count + 1),
            "expires_at": case((over, fresh.excluded.expires_at), else_=RateLimit.expires_at),
        },
    ).returning(RateLimit.id, RateLimit.count, RateLimit.expires_at)
    rows = [(id_, count, expires_at) for id_, count, expires_at in db.session.execute(counted)]
    db.session.commit()
    if any(count == 1 for _, count, _ in rows):
        sweep(RateLimit, instant)
        db.session.commit()
    _refuse(rows, allowances, instant)


def forgive_sign_ins(email: str) -> None:
    """Count wrong passwords for an account from nothing: its owner has come in."""
    db.session.execute(delete(RateLimit).where(RateLimit.id == _identify(SIGN_IN_ACCOUNT, email.lower())))


def client_network(address: str | None) -> str:
    """Name the network that an address counts as: IPv6 hands out many addresses at once."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), IPV6_NETWORK), strict=False))
    return str(parsed)


def _limits() -> Limits:
    return cast("Settings", current_app.extensions["notejam.settings"]).limits


def _allow(*wanted: tuple[str, Limit | None, str]) -> list[Allowance]:
    """Leave out what is not limited. The order is fixed, so that two requests never wait for each other."""
    return [Allowance(limit, _identify(scope, who)) for scope, limit, who in wanted if limit is not None]


def _identify(scope: str, who: str) -> str:
    return hashlib.sha256(f"{scope}\0{who}".encode(errors="replace")).hexdigest()


def _refuse(
    tries: Iterable[tuple[str, int, datetime]], allowances: Sequence[Allowance], instant: datetime
) -> None:
    limits = {allowance.id: allowance.limit.count for allowance in allowances}
    waits = [expires_at - instant for id_, count, expires_at in tries if count > limits[id_]]
    if waits:
        raise TooManyRequests(retry_after=max(1, math.ceil(max(waits).total_seconds())))
