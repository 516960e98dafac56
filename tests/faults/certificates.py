"""Certificates that the suite puts into Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from pgha.certificates import Pair, make_authority, make_certificate


def authority_pair() -> dict[str, str]:
    """Return the data of a new authority's Secret."""
    made = make_authority("another")
    return {"ca.crt": made.certificate, "ca.key": made.key}


def short_lived(authority: Mapping[str, str]) -> dict[str, str]:
    """Return a certificate of an authority that ends in a day, which is due at once."""
    made = make_certificate(Pair(authority["ca.crt"], authority["ca.key"]), ["db-primary"], 1)
    return {"tls.crt": made.certificate, "tls.key": made.key}


def patch_of(data: Mapping[str, str]) -> str:
    """Return the patch of a Secret for kubectl."""
    return json.dumps({"data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}})
