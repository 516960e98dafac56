"""The command line: `python -m local`, which the Makefile calls."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from local.console import describe_seconds
from local.errors import LocalError
from local.settings import STAGES
from local.steps import INTERRUPTED, Runner, StepFailedError, stop_on_sigterm
from local.workshop import Workshop, make_workshop
from releaser.errors import ReleaserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.steps import Outcome, Step


class Commands(click.Group):
    """Turns our errors into messages and exit codes."""

    def invoke(self, context: click.Context) -> object:
        """Run a command; a failed step has been told already."""
        try:
            return super().invoke(context)
        except StepFailedError:
            sys.exit(1)
        except (LocalError, ReleaserError) as error:
            click.echo(f"error: {error}", err=True)
            hint = getattr(error, "hint", "")
            if hint:
                click.echo(f"help:  {hint}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Bring up, test and remove notejam on this machine. `make help` shows the short forms."""
    stop_on_sigterm()


@main.command()
@click.option("--no-promotion", is_flag=True, help="Stop when the bundle is in the registry.")
def up(*, no_promotion: bool) -> None:
    """Make the cluster and the registry, build and push everything, promote it to all stages."""
    from local.up import steps_up

    shop = make_workshop()
    shifted = shop.settings.port_base != 30080  # noqa: PLR2004 - the pipeline file names these ports
    with shop.cache.lock(f"run-{shop.settings.cluster}", "this cluster"):
        outcome, seconds = carry_out(
            shop, steps_up(shop, promote=not no_promotion and not shifted), "make up"
        )
    line = shop.console.line
    line()
    if shifted:
        line("Not promoted: the addresses in values/pipeline.yaml are those of the first cluster.")
    elif not no_promotion:
        line(shop.releaser("status").rstrip())
        line()
        for stage in reversed(STAGES):
            line(f"  {stage:<12} {shop.settings.stage_address(stage)}")
        line()
    what = f"changed: {', '.join(outcome.changed)}" if outcome.changed else "nothing had to be changed"
    line(f"{what} ({describe_seconds(seconds)})")
    line(f'next:  export PATH="{shop.settings.bin}:$PATH"     # releaser, helm, kubectl, kind')
    line("       releaser status")


@main.command()
@click.option(
    "--cache", is_flag=True, help="Remove what was built before, too; building it again takes long."
)
def down(*, cache: bool) -> None:
    """Remove the cluster, the registry, the images and the state."""
    from local.down import steps_down

    shop = make_workshop()
    with shop.cache.lock(f"run-{shop.settings.cluster}", "this cluster"):
        carry_out(shop, steps_down(shop, cache=cache), "make down", keep_logs=False)
    if not cache:
        shop.console.line(f"kept:  {shop.settings.cache} (what was built; make down CACHE=1 removes it too)")


@main.command()
def clean_cache() -> None:
    """Remove what was built before; the next `make up` builds it again."""
    shop = make_workshop()
    with shop.cache.lock(f"run-{shop.settings.cluster}", "this cluster"):
        shop.cache.clear()
    shop.console.line(f"removed {shop.settings.cache}")


@main.command()
@click.option("--test", "for_test", is_flag=True, help="Those that the tests need, too.")
def tools(*, for_test: bool) -> None:
    """Bring helm, kubectl, kind and releaser to .local/bin."""
    from functools import partial

    from local.steps import FunctionStep
    from local.tools import FOR_TEST, FOR_UP

    shop = make_workshop()
    names = FOR_TEST if for_test else FOR_UP
    step = FunctionStep("tools", partial(shop.tools.look, names), partial(shop.tools.make, names))
    carry_out(shop, [step], "python -m local tools")


@main.command()
def status() -> None:
    """Show the cluster, the registry and what the stages run."""
    from local.state import decide

    shop = make_workshop()
    settings = shop.settings
    if settings.named_context:
        shop.console.line(f"cluster   yours: {settings.context}")
    else:
        decision = decide(shop.cluster.observe())
        shop.console.line(f"cluster   {settings.context}: {decision.reason}")
        answer = "answers" if shop.registry.runs() else "does not run"
        shop.console.line(f"registry  {settings.registry_host}: {answer}")
        if decision.action.value != "keep":
            raise LocalError("the stages cannot be looked at", "make up")
    shop.console.line()
    shop.console.line(shop.releaser("status").rstrip())


@main.command()
def schemas() -> None:
    """Write the JSON schemas of Kubernetes for kubeconform to the cache and print their folder."""
    from local.schemas import make_schemas

    shop = make_workshop()
    click.echo(make_schemas(shop.cache, shop.go))


@main.command()
@click.option(
    "--version", required=True, help="Tag of the images that were pushed; becomes the charts' version."
)
@click.option("--commit", default="", help="The git commit that they were built from.")
def publish(version: str, commit: str) -> None:
    """Pack and push the charts and the bundle for images that are in the registry already (for CI)."""
    from local.publish import publish_version

    shop = make_workshop(cluster=False)
    for text in publish_version(shop, version, commit):
        shop.console.line(text)


@main.command()
@click.option("--upgrade", is_flag=True, help="Take the newest versions that the lists allow.")
def requirements(*, upgrade: bool) -> None:
    """Compile the lists of Python packages to files with hashes."""
    from local.requirements import compile_requirements

    for path in compile_requirements(make_workshop(), upgrade=upgrade):
        click.echo(f"written: {path}")


@main.command()
@click.option(
    "--phases",
    default="",
    help="Comma-separated: static,unit,charts,app,cluster, or faults. Default: all but faults.",
)
@click.argument("pytest_words", nargs=-1)
def test(phases: str, pytest_words: Sequence[str]) -> None:
    """Check and test everything; brings the cluster up where the tests need it."""
    from local.testing import run_tests

    sys.exit(run_tests(make_workshop(), phases, list(pytest_words)))


def carry_out(
    shop: Workshop, steps: Sequence[Step], command: str, *, keep_logs: bool = True
) -> tuple[Outcome, float]:
    """Run steps and say how long all of them took."""
    started = time.monotonic()
    logs = shop.settings.logs if keep_logs else shop.settings.cache / "logs"
    outcome = Runner(shop.console, shop.shell, logs, command).run(steps)
    shop.shell.log = None
    return outcome, time.monotonic() - started
