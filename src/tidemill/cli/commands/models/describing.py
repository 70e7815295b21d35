"""`tidemill models edit|stage`."""

from __future__ import annotations

import click

from tidemill.cli.commands.models.group import command, pairs, requirements, rules, said, tell
from tidemill.cli.options import Setup, shared
from tidemill.core.errors import UsageError
from tidemill.core.records import ModelVersion, RegisteredModel
from tidemill.registry.editing import STAGES, edit_model, edit_version, set_stage
from tidemill.registry.names import check_name, parse_reference


@command.command(name="edit", short_help="Change owner, description and tags of a model or a version.")
@click.argument("reference")
@click.option("--owner", help="Whose it is; an empty text removes it.")
@click.option("--description", help="What it is; an empty text removes it.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Set a tag.")
@click.option("--untag", multiple=True, metavar="NAME", help="Remove a tag.")
@shared
def edit(
    setup: Setup,
    reference: str,
    *,
    owner: str | None,
    description: str | None,
    tags: tuple[str, ...],
    untag: tuple[str, ...],
) -> None:
    """Change what is said of a model (NAME) or of one version (NAME@NUMBER, NAME@ALIAS)."""
    if owner is None and description is None and not tags and not untag:
        raise UsageError("nothing is to be changed", hint="Give --owner, --description, --tag or --untag.")
    asked, changes = rules(setup), pairs("--tag", tags)
    edited: RegisteredModel | ModelVersion
    with setup.store() as store:
        if "@" in reference:
            edited = edit_version(
                store, parse_reference(reference), owner=owner, description=description, tags=changes, untag=untag,
                rules=asked,
            )  # fmt: skip
        else:
            edited = edit_model(
                store, check_name(reference, "model"), owner=owner, description=description, tags=changes, untag=untag,
                rules=asked,
            )  # fmt: skip
        tell(setup, store, asked)
    kind = "version" if isinstance(edited, ModelVersion) else "model"
    name = f"{edited.model}@{edited.version}" if isinstance(edited, ModelVersion) else edited.name
    said(setup, {kind: edited}, f"{name} is changed")


@command.command(name="stage", short_help="Say where a version stands in its life.")
@click.argument("reference")
@click.argument("stage", metavar=f"[{'|'.join(STAGES)}]")
@click.option("--reason", default="", help="Why, for the audit.")
@click.option("--force", metavar="REASON", help="Into production although the gate did not pass.")
@shared
def stage(setup: Setup, reference: str, stage: str, reason: str, force: str | None) -> None:
    """Say where REFERENCE (NAME@NUMBER) stands in its life; production needs the gate, as an alias does."""
    if "@" not in reference:
        raise UsageError("this names no version", value=reference, hint="Write NAME@NUMBER or NAME@ALIAS.")
    asked = rules(setup)
    with setup.store() as store:
        version = set_stage(
            store, parse_reference(reference), stage, requirements=requirements(setup), rules=asked, reason=reason,
            force=force,
        )  # fmt: skip
        tell(setup, store, asked)
    text = f"{version.model}@{version.version} is {version.stage}"
    said(setup, {"model": version.model, "version": version.version, "stage": version.stage}, text)
