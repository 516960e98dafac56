"""Growing the volumes of members: their claims ask for what the values say."""

import re
from collections.abc import Callable, Mapping

from pgha.kube import Api, ApiError
from pgha.steps import HopelessError

_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}
# What the API says where the class allows no growing; every other refusal may pass, as one of a quota does.
_NEVER = "must support resize"


def quantity(text: str) -> int:
    """Read a size such as 8Gi, in bytes; raise HopelessError for one that nobody can read."""
    found = re.fullmatch(r"(\d+)([A-Za-z]*)", text)
    if not found or found[2] not in _UNITS:
        raise HopelessError(f"cannot read the size {text!r} of a volume")
    return int(found[1]) * _UNITS[found[2]]


def grow(api: Api, name: str, sizes: Mapping[str, str], members: int, say: Callable[[str], None]) -> bool:
    """Ask for more space where a claim asks for less than the values say; say whether all of them do now.

    The claims of new members are made at the size of the StatefulSet's template, which cannot be changed, and
    only bound claims may grow: those are for the next look. Raises HopelessError where a class does not allow
    it, OSError where the API is away or refuses for another reason.
    """
    missing = []
    for kind, size in sizes.items():
        for ordinal in range(members):
            claim = f"{kind}-{name}-{ordinal}"
            found = api.find(f"/persistentvolumeclaims/{claim}")
            if found is None:
                missing.append(f"volume {claim} is not there yet")
                continue
            has = found["spec"]["resources"]["requests"]["storage"]
            if quantity(has) >= quantity(size):
                continue
            if found.get("status", {}).get("phase") != "Bound":
                missing.append(f"volume {claim} is not bound yet, and grows after that")
                continue
            _patch(api, claim, has, size)
            say(f"volume {claim}: from {has} to {size}")
    if missing:
        say(f"waiting: {'; '.join(missing)}")
    return not missing


def _patch(api: Api, claim: str, has: str, size: str) -> None:
    try:
        patch = {"spec": {"resources": {"requests": {"storage": size}}}}
        api.call("PATCH", f"/persistentvolumeclaims/{claim}", patch)
    except ApiError as error:
        if _NEVER not in str(error):
            raise
        raise HopelessError(
            f"the volume {claim} cannot grow from {has} to {size}: {error}\n"
            "set storage back to what it was, or move to a class that allows growing"
        ) from error
