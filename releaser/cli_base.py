"""What every command stands on: the adapters on demand, errors as messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from releaser.errors import DeclinedError, InputError, ReleaserError

if TYPE_CHECKING:
    from releaser.console import Console
    from releaser.core.model import Pipeline, Stage
    from releaser.observe import Outside


class App:
    """What every command needs, made on first use: --help must not load Kubernetes."""

    def __init__(self, config: Path, *, as_json: bool, yes: bool) -> None:
        self.config = config
        self.as_json = as_json
        self.yes = yes
        self._console: Console | None = None
        self._pipeline: Pipeline | None = None

    @property
    def console(self) -> Console:
        """The output."""
        if self._console is None:
            from releaser.console import Console

            self._console = Console(as_json=self.as_json)
        return self._console

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline file, read and checked."""
        if self._pipeline is None:
            from releaser.config import load_pipeline

            self._pipeline = load_pipeline(self.config)
        return self._pipeline

    def stage(self, name: str) -> Stage:
        """Return the stage of that name; InputError that lists the known ones."""
        try:
            return self.pipeline.stage(name)
        except KeyError:
            known = ", ".join(stage.name for stage in self.pipeline.stages)
            raise InputError(
                f"{self.config}:stages: there is no stage {name!r}", f"known stages: {known}"
            ) from None

    def outside(self) -> Outside:
        """Return the real adapters."""
        pipeline = self.pipeline  # its errors come before the time that the adapters take to load
        from releaser.adapters.wiring import connect

        return connect(pipeline, self.config.parent, self.console)

    def agree(self, question: str) -> None:
        """Ask, unless --yes; DeclinedError on no, InputError without a terminal."""
        if self.yes:
            return
        if self.as_json or not sys.stdin.isatty():
            raise InputError("there is no terminal to ask on", "say yes beforehand: --yes")
        try:
            agreed = click.confirm(question, err=True)
        except click.Abort:
            agreed = False
        if not agreed:
            raise DeclinedError("nothing was changed")


class Commands(click.Group):
    """Turns our errors into messages and exit codes; anything else is a bug and says so."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - click's own
        kwargs["standalone_mode"] = False
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            result = super().main(*args, **kwargs)
            sys.exit(result if isinstance(result, int) else 0)
        except ReleaserError as error:
            _show(error)
            sys.exit(error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help())
            sys.exit(2)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:  # the last door: no traceback reaches the user
            if os.environ.get("RELEASER_DEBUG"):
                raise
            click.echo(f"error: a bug in releaser: {type(error).__name__}: {error}", err=True)
            click.echo("next:  run it again with RELEASER_DEBUG=1 and report what it prints", err=True)
            sys.exit(1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _show(error: ReleaserError) -> None:
    context = click.get_current_context(silent=True)
    app = context.find_object(App) if context else LAST_APP[-1] if LAST_APP else None
    if app is not None:
        app.console.error(error)
        return
    click.echo(f"error: {error.message}", err=True)
    if error.hint:
        click.echo(f"next:  {error.hint}", err=True)


LAST_APP: list[App] = []


def parse_version(flag: str, text: str) -> str:
    """Return the text when it is a semantic version; InputError that names the flag otherwise."""
    import semver

    if not semver.Version.is_valid(text):
        raise InputError(f"{flag}: {text!r} is not a semantic version", "write it like 1.4.0 or 1.4.0-rc.1")
    return text
