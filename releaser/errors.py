"""What can go wrong, as people read it: a message, the next command to type, an exit code.

Exit codes, also in docs/commands.md:

====  ==============================================================
0     done, or nothing to change
1     a bug of ours: please report it
2     bad input: a flag, the pipeline file, a values file, a version
3     blocked: a gate said no, or another promotion holds the lock
4     the promotion failed and the stage was rolled back
5     the promotion failed and needs a person: the rollback failed
6     could not tell: the cluster or the registry did not answer
7     declined at the question
130   interrupted
====  ==============================================================
"""

from __future__ import annotations


class ReleaserError(Exception):
    """A failure that the user can act on.

    `message` says what is wrong and where; `hint` is the next thing to do.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(ReleaserError):
    """A flag, a file or a version is wrong. Nothing was changed."""

    exit_code = 2


class BlockedError(ReleaserError):
    """A gate or the lock of another promotion stands in the way. Nothing was changed."""

    exit_code = 3


class LockedError(BlockedError):
    """Another promotion of the stage is at work."""


class PromotionFailedError(ReleaserError):
    """The release is bad; the stage is back at its former revision."""

    exit_code = 4


class NeedsAPersonError(ReleaserError):
    """The release is bad and the stage could not be brought back."""

    exit_code = 5


class UnavailableError(ReleaserError):
    """The cluster or the registry did not answer: the outcome is not known."""

    exit_code = 6


class ForbiddenError(UnavailableError):
    """The cluster answered that this user may not do it."""


class DeclinedError(ReleaserError):
    """The user said no."""

    exit_code = 7


class HelmError(ReleaserError):
    """Helm ran and failed; `message` is what it said."""

    exit_code = 6
