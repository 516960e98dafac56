"""What can go wrong, said for the person at the keyboard."""


class LocalError(Exception):
    """A failure with what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message, and the hint that the command line prints below it."""
        super().__init__(message)
        self.hint = hint


class CommandError(LocalError):
    """A program ended with an error, was not found, or took too long."""

    def __init__(self, message: str, output: str = "", hint: str = "") -> None:
        """Keep the program's output too: the end of it is printed on failure."""
        super().__init__(message, hint)
        self.output = output
