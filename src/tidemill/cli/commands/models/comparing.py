"""`tidemill models compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tidemill.cli.commands.models.group import command
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.core.errors import shorten
from tidemill.evaluation.measurements import Measurement
from tidemill.registry.comparing import MetricDifference, VersionComparison, compare_versions
from tidemill.registry.names import parse_reference
from tidemill.tracking import Difference

_SECTIONS = ("gate", "signature", "params", "data", "environment", "package", "about")


@command.command(name="compare", short_help="Show two versions beside each other.")
@click.argument("a")
@click.argument("b")
@click.option("--full", is_flag=True, help="Metrics that only one of them has, and long values, too.")
@shared
def compare(setup: Setup, a: str, b: str, *, full: bool) -> None:
    """Show what is different between versions A and B (NAME@NUMBER, NAME@ALIAS, or NAME for its champion)."""
    with setup.store() as store:
        found = compare_versions(parse_reference(a), parse_reference(b), store=store)
    if setup.json:
        emit({"status": "compared", "comparison": found})
        return
    click.echo(_screen(found, full=full))


def _screen(found: VersionComparison, *, full: bool) -> str:
    parts: list[str] = []
    shown = [one for one in found.metrics if full or (one.a is not None and one.b is not None)]
    if shown:
        headers = ["metric", found.a, found.b, "difference", "intervals"]
        parts.append(table(headers, [_metric(one) for one in shown], right=["difference"]))
    if found.examined:
        again = "To compare on the same rows: evaluate(model, data, against=other)."
        parts.append(f"{found.examined}.\n{again}")
    left_out = len(found.metrics) - len(shown)
    if left_out:
        parts.append(f"{left_out} metrics were measured on one of them only: --full")
    if found.added:
        parts.append(f"features that only {found.b} takes: {', '.join(found.added)}")
    if found.gone:
        parts.append(f"features that only {found.a} takes: {', '.join(found.gone)}")
    for name in _SECTIONS:
        items: Sequence[Difference] = getattr(found, name)
        if items:
            rows = [(item.name, _value(item.a, full=full), _value(item.b, full=full)) for item in items]
            parts.append(table([name, found.a, found.b], rows))
    return "\n\n".join(parts) or "there is no difference"


def _metric(one: MetricDifference) -> tuple[str, ...]:
    words = {True: "apart", False: "overlap", None: ""}
    difference = "" if one.difference is None else f"{one.difference:+.4g}"
    return one.name, _measured(one.a), _measured(one.b), difference, words[one.apart]


def _measured(found: Measurement | None) -> str:
    if found is None or found.value is None:
        return "not measured"
    spread = "" if found.low is None or found.high is None else f" [{found.low:.4g}, {found.high:.4g}]"
    return f"{found.value:.4g}{spread}"


def _value(value: Any, *, full: bool) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float | int | str):
        return number(value)
    return shorten(value, 4000 if full else 60)
