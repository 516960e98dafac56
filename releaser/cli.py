"""The commands: parse, call, show, and turn errors into exit codes."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from releaser import __version__
from releaser.cli_base import LAST_APP, App, Commands, parse_version
from releaser.errors import BlockedError

if TYPE_CHECKING:
    from releaser.core.model import Promotion
    from releaser.core.plan import Plan
    from releaser.observe import Outside

VERSION_HELP = "A semantic version, as `releaser bundle list` shows them."


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="releaser")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("values/pipeline.yaml"),
    show_default=True,
    envvar="RELEASER_CONFIG",
    help="The pipeline file; the values of the stages lie beside it.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask before changing something.")
@click.pass_context
def main(context: click.Context, config: Path, output: str, *, yes: bool) -> None:
    """Promote Helm chart versions, pinned by digest, from stage to stage.

    A release bundle (chart versions and digests, image digests, git commit) enters the first stage
    by its version and moves on when the stage before has verified it.
    """
    context.obj = App(config, as_json=output == "json", yes=yes)
    LAST_APP[:] = [context.obj]


_YES = click.option("--yes", "late_yes", is_flag=True, help="Do not ask before changing something.")
_OUTPUT = click.option("--output", "late_output", type=click.Choice(["text", "json"]), help="How to print.")


def _merge(app: App, late_output: str | None, *, late_yes: bool = False) -> None:
    """Take the global options from behind the command too: that is where people type them."""
    app.yes = app.yes or late_yes
    if late_output is not None:
        app.as_json = late_output == "json"


def _new_id(outside: Outside) -> str:
    return f"{outside.clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _identity() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _carry_out(app: App, outside: Outside, plan: Plan, replan: Callable[[], Plan]) -> None:
    """Show the plan, stop where it says so, ask, do it, and say how it ended."""
    from releaser.console import plan_document
    from releaser.promote import execute

    console = app.console
    console.plan(plan)
    if plan.blocking:
        gate = plan.blocking[0]
        raise BlockedError(f"{plan.stage}: {gate.name}: {gate.reason}", gate.hint)
    if plan.is_unchanged:
        if app.as_json:
            console.document(plan_document(plan, changed=False))
        return
    app.agree(f"carry out this {plan.kind} of {plan.bundle.version} to {plan.stage}?")
    promotion = execute(outside, app.pipeline, plan, replan, by=_identity(), new_id=_new_id(outside))
    if app.as_json:
        console.document(plan_document(plan, changed=True, promotion=promotion))
    else:
        console.out.print(f"{plan.stage} runs {plan.bundle.version}" + (", verified" if promotion else ""))


@main.command()
@click.option("--to", "to", required=True, metavar="STAGE", help="The stage that gets the bundle.")
@click.option("--version", metavar="VERSION", help=f"{VERSION_HELP} Default: what the previous stage runs.")
@_OUTPUT
@click.pass_obj
def plan(app: App, to: str, version: str | None, late_output: str | None) -> None:
    """Show what a promotion would do, and why. Changes nothing.

    Exit code 3 when a gate would stop the promotion.
    """
    from releaser.console import plan_document
    from releaser.planning import find_bundle, plan_promotion

    _merge(app, late_output)
    version = parse_version("--version", version) if version is not None else None
    stage = app.stage(to)
    outside = app.outside()
    bundle = find_bundle(outside, app.pipeline, stage, version)
    made = plan_promotion(outside, app.pipeline, stage, bundle)
    app.console.plan(made)
    if app.as_json:
        app.console.document(plan_document(made, changed=False))
    if made.blocking:
        sys.exit(BlockedError.exit_code)


@main.command()
@click.option("--to", "to", required=True, metavar="STAGE", help="The stage that gets the bundle.")
@click.option("--version", metavar="VERSION", help=f"{VERSION_HELP} Default: what the previous stage runs.")
@_YES
@_OUTPUT
@click.pass_obj
def promote(app: App, to: str, version: str | None, late_output: str | None, *, late_yes: bool) -> None:
    """Bring a bundle to a stage: plan, ask, apply, watch, verify, record.

    The database comes first, then the app with its migration. When something fails, the cause is
    shown and the stage is rolled back.
    """
    from releaser.planning import find_bundle, plan_promotion

    _merge(app, late_output, late_yes=late_yes)
    version = parse_version("--version", version) if version is not None else None
    stage = app.stage(to)
    outside = app.outside()
    bundle = find_bundle(outside, app.pipeline, stage, version)
    make = partial(plan_promotion, outside, app.pipeline, stage, bundle)
    _carry_out(app, outside, make(), partial(make, holds_lock=True))


@main.command()
@click.argument("stage_name", metavar="STAGE")
@click.option("--version", metavar="VERSION", help="A version that ran there. Default: the one before.")
@_YES
@_OUTPUT
@click.pass_obj
def rollback(
    app: App, stage_name: str, version: str | None, late_output: str | None, *, late_yes: bool
) -> None:
    """Take a stage back to the bundle that it ran before."""
    from releaser.planning import plan_rollback

    _merge(app, late_output, late_yes=late_yes)
    version = parse_version("--version", version) if version is not None else None
    stage = app.stage(stage_name)
    outside = app.outside()
    make = partial(plan_rollback, outside, app.pipeline, stage, version)
    _carry_out(app, outside, make(), partial(make, holds_lock=True))


@main.command()
@_OUTPUT
@click.pass_obj
def status(app: App, late_output: str | None) -> None:
    """Show what every stage runs, since when, and how it is."""
    from releaser.status import fetch_status

    _merge(app, late_output)
    outside = app.outside()
    rows, notes = fetch_status(outside, app.pipeline)
    app.console.status(rows, notes, outside.clock.now())


@main.command()
@click.argument("stage_name", metavar="[STAGE]", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@_OUTPUT
@click.pass_obj
def history(app: App, stage_name: str | None, limit: int, late_output: str | None) -> None:
    """Show the promotions and rollbacks of a stage, or of all, newest first."""
    _merge(app, late_output)
    stages = [app.stage(stage_name)] if stage_name else list(app.pipeline.stages)
    outside = app.outside()
    found: list[Promotion] = []
    for stage in stages:
        outside.cluster.check_access(stage)
        found += outside.records.fetch_promotions(stage)
    found.sort(key=lambda promotion: promotion.started, reverse=True)
    app.console.history(found[:limit])


def _register_bundle_commands() -> None:
    from releaser.cli_bundle import bundle

    main.add_command(bundle)


_register_bundle_commands()
