"""The data sheet of a model card: where rows came from, how they were divided, cleaned, checked, what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.core.errors import shorten
from tidemill.core.schema import Column
from tidemill.data.clean import CleaningReport
from tidemill.data.split import SplitSpec
from tidemill.data.validate import ValidationReport
from tidemill.packaging.package import Package
from tidemill.registry.card_facts import CardFacts
from tidemill.registry.card_parts import NOT_RECORDED, CardSection, CardTable, table
from tidemill.registry.origins import Origins


def data(facts: CardFacts) -> CardSection:
    """Sources, parts, cleaning, contract and profile of the rows that it learned from."""
    origins, package = facts.origins, facts.package
    sources = [(one.name, one.uri, one.rows, one.columns, one.digest[:12]) for one in origins.sources]
    headers = ["source", "where", "rows", "columns", "digest"]
    text = [] if sources else [f"Sources: {NOT_RECORDED}; the version was made outside of a run that reads one."]
    text += list(_sentences(origins, package))
    tables: tuple[CardTable, ...] = (
        *table(headers, sources, caption="Sources", numeric=["rows", "columns"]),
        *_parts(origins, package),
        *_repairs(package),
        *table(["feature", "type", "range or categories", "missing"], _columns(package), caption="Features"),
    )
    return CardSection("Data", tuple(text), tables)


def _sentences(origins: Origins, package: Package) -> Iterator[str]:
    split = origins.last(SplitSpec)
    if split is not None:
        method = ", ".join(f"{name} {value}" for name, value in split.method.items() if value not in ([], (), "", None))
        yield f"Split: {method}." if method else "Split: as declared."
        if split.left_out:
            yield "Left out: " + "; ".join(f"{count:,} rows ({why})" for why, count in split.left_out.items()) + "."
    report = origins.last(ValidationReport)
    if report is not None:
        yield f"Contract when the rows were read: {report.headline}."
    cleaned = origins.last(CleaningReport)
    if cleaned is not None:
        steps = ", ".join(one.operation.replace("_", " ") for one in cleaned.operations)
        yield f"Cleaning before the split ({steps}): {cleaned.rows_before:,} rows in, {cleaned.rows_after:,} out."
    contract = package.contract
    if contract:
        rules = f"{len(contract.get('checks', ()))} rules are checked on each request"
        yield f"Contract {contract.get('name', '')!r}: {rules}, {len(contract.get('not_enforced', ()))} cannot be."
    else:
        yield "Contract: none travels with the model."


def _parts(origins: Origins, package: Package) -> tuple[CardTable, ...]:
    split = origins.last(SplitSpec)
    spans: Mapping[str, Any] = {} if split is None else split.spans
    rows: list[tuple[object, ...]] = [
        (one.name, one.rows, one.digest[:12], *_span(spans.get(one.name.rpartition(".")[2]))) for one in origins.tables
    ]
    if not rows:
        counted = package.manifest.get("metadata", {}).get("rows", {})
        rows = [(name, count, "", "", "") for name, count in counted.items()]
    headers = ["part", "rows", "digest", "from", "to"]
    return table(headers, rows, caption="What the training was given", numeric=["rows"])


def _span(span: Any) -> tuple[str, str]:
    return (str(span[0])[:16], str(span[1])[:16]) if span else ("", "")


def _repairs(package: Package) -> tuple[CardTable, ...]:
    rows = [
        (str(one.get("kind") or one.get("operation") or one.get("name") or "repair"),
         shorten({name: value for name, value in one.items() if name not in ("kind", "operation")}, 100))
        for one in package.manifest.get("cleaning", ())
    ]  # fmt: skip
    return table(["repair", "learned from the training rows"], rows, caption="Cleaning that travels with the model")


def _columns(package: Package) -> Iterator[tuple[object, ...]]:
    profiles: Mapping[str, Any] = package.manifest.get("profile", {}).get("columns", {})
    for column in package.signature.inputs:
        yield column.name, column.type, _range(column), _missing(profiles.get(column.name))


def _range(column: Column) -> str:
    if column.categories is not None:
        first = ", ".join(column.categories[:8])
        return first + (f", … ({len(column.categories):,} in all)" if len(column.categories) > 8 else "")
    if column.minimum is None or column.maximum is None:
        return ""
    return f"{column.minimum:.6g} to {column.maximum:.6g}"


def _missing(profile: Any) -> str:
    """The share of missing values, where the reference profile has it."""
    if not isinstance(profile, Mapping):
        return NOT_RECORDED
    missing, rows = profile.get("missing"), profile.get("rows")
    if not isinstance(missing, int) or not isinstance(rows, int):
        return NOT_RECORDED
    return f"{missing / rows:.2%}" if missing and rows else "none"
