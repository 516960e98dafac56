"""Whether Postgres could start again with the settings that it has.

A reload passes over what it cannot read, with a line in the server's log only; the next start fails, and that
is seen when a member is lost. What only waits for a restart is not looked at: the first that restarts tells.
"""

import ssl
from typing import Any

_ERRORS = """
    SELECT f.name, f.error FROM pg_file_settings f LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name)
    WHERE f.error IS NOT NULL AND NOT coalesce(s.pending_restart, false) ORDER BY f.seqno LIMIT 1
"""


class SettingsError(ValueError):
    """Postgres would not start again."""


def check_settings(cursor: Any) -> None:
    """Look at the files as they are now; raise SettingsError with the first setting that is wrong."""
    cursor.execute(_ERRORS)
    wrong = cursor.fetchone()
    if wrong is not None:
        name, error = wrong
        place = f"postgresql.parameters.{name}" if name else "postgresql.conf"
        raise SettingsError(f"{place}: {error}; Postgres cannot start again until it is mended")
    # Read at the start only, and no part of the check above.
    cursor.execute("SHOW ssl_ciphers")
    (ciphers,) = cursor.fetchone()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(ciphers)
    except ssl.SSLError:
        raise SettingsError(
            f"postgresql.parameters.ssl_ciphers: {ciphers!r} has no cipher that is known here; "
            "Postgres cannot start again until it is mended"
        ) from None
