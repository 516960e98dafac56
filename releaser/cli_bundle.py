"""The commands on release bundles: push, list, show."""

from __future__ import annotations

import re

import click

from releaser.cli_base import App, parse_version
from releaser.errors import InputError

DIGEST = r"sha256:[0-9a-f]{64}"
CHART = re.compile(rf"(?P<name>[a-z0-9-]+)=(?P<version>[^@]+)@(?P<digest>{DIGEST})")
IMAGE = re.compile(
    rf"(?P<name>[a-z0-9-]+)=(?P<repository>[a-z0-9._/-]+)(:(?P<tag>[\w.-]+))?@(?P<digest>{DIGEST})"
)
COMMIT = re.compile(r"[0-9a-f]{7,64}")


@click.group()
def bundle() -> None:
    """Make and look at release bundles in the registry."""


@bundle.command()
@click.option("--version", required=True, metavar="VERSION", help="A semantic version, new or identical.")
@click.option("--commit", default="", metavar="SHA", help="The git commit that it was built from.")
@click.option("--chart", "charts", multiple=True, required=True, metavar="NAME=VERSION@DIGEST")
@click.option("--image", "images", multiple=True, metavar="NAME=REPOSITORY[:TAG]@DIGEST")
@click.pass_obj
def push(app: App, version: str, commit: str, charts: tuple[str, ...], images: tuple[str, ...]) -> None:
    """Push a bundle that names charts and images which the registry holds already."""
    from releaser.core.model import Artifact, Bundle, Image

    if commit and not COMMIT.fullmatch(commit):
        raise InputError(
            f"--commit: {commit!r} is not a git commit", "write its 40 hex digits: git rev-parse HEAD"
        )
    made = Bundle(
        version=parse_version("--version", version),
        commit=commit,
        charts={
            match["name"]: Artifact(parse_version("--chart", match["version"]), match["digest"])
            for match in (_match(CHART, "--chart", text, "notejam=1.4.0@sha256:...") for text in charts)
        },
        images={
            match["name"]: Image(match["repository"], match["digest"], match["tag"] or "")
            for match in (_match(IMAGE, "--image", text, "app=app:1.4.0@sha256:...") for text in images)
        },
    )
    registry = app.outside().registry
    missing = registry.find_missing(made)
    if missing:
        raise InputError(f"not in the registry: {', '.join(missing)}", "push charts and images first")
    digest = registry.push_bundle(made)
    if app.as_json:
        app.console.document({"version": version, "digest": digest})
    else:
        app.console.out.print(f"bundle {version} {digest}")


@bundle.command(name="list")
@click.pass_obj
def list_(app: App) -> None:
    """List the versions in the registry, highest first."""
    import semver

    versions = sorted(app.outside().registry.fetch_versions(), key=semver.Version.parse, reverse=True)
    if app.as_json:
        app.console.document({"versions": versions})
        return
    for version in versions or ["no bundles yet"]:
        app.console.out.print(version)


@bundle.command()
@click.argument("version")
@click.pass_obj
def show(app: App, version: str) -> None:
    """Show what a bundle holds."""
    found = app.outside().registry.fetch_bundle(parse_version("VERSION", version))
    if app.as_json:
        app.console.document(found)
        return
    out = app.console.out
    out.print(f"bundle {found.version} {found.digest}\ncommit {found.commit or '-'}")
    for name, chart in found.charts.items():
        out.print(f"chart  {name} {chart.version} {chart.digest}")
    for name, image in found.images.items():
        out.print(f"image  {name} {image.repository}:{image.tag} {image.digest}")


def _match(pattern: re.Pattern[str], flag: str, text: str, example: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise InputError(f"{flag}: {text!r} cannot be read", f"write it like {example}")
    return match
