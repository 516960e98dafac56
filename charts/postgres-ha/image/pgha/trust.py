"""Gives the application the authority of certificates that the chart did not make.

cert-manager has none yet when the release is installed, and a given Secret may change between two upgrades.
"""

import base64
from pathlib import Path

from pgha.kube import Api


class Trust:
    """What was given last."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api, self._file = api, folder / "ca.crt"
        self._given = ("", "")

    def give(self, secret: str) -> bool:
        """Make `ca.crt` of a Secret that of the members; say whether it was another.

        Raises OSError where the API or the Secret is not there.
        """
        if not self._file.exists():
            return False
        text = base64.b64encode(self._file.read_bytes()).decode()
        if (secret, text) == self._given:
            return False
        data = self._api.call("GET", f"/secrets/{secret}").get("data", {})
        is_other = data.get("ca.crt") != text
        if is_other:
            self._api.call("PATCH", f"/secrets/{secret}", {"data": {"ca.crt": text}})
        self._given = (secret, text)
        return is_other
