"""Gives the application the authority of the certificates that the members show.

It changes without an upgrade: the CronJob renews it, cert-manager has none yet when the release is installed,
and a given Secret is somebody else's. And `helm rollback` brings back what the Secret had at that revision.
"""

import base64
from pathlib import Path

from pgha.kube import Api


def give_authority(api: Api, secret: str, found: str, file: Path) -> bool:
    """Make `ca.crt` of a Secret what the file has; say whether what was `found` there (base64) was another.

    Raises OSError where the API or the Secret is not there.
    """
    if not file.exists():
        return False
    text = base64.b64encode(file.read_bytes()).decode()
    if text == found:
        return False
    api.call("PATCH", f"/secrets/{secret}", {"data": {"ca.crt": text}})
    return True
