"""A cleaning report for people: in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any

from tidemill.core.errors import shorten

_OPERATIONS = ("operation", "columns", "changed", "rows out", "missing before", "after", "for example")
_COLUMNS = ("column", "", "type before", "after", "missing before", "after")


def report_text(report: Any) -> str:
    """Two tables: what each operation did, and the columns that are not what they were."""
    parts = [f"{report.rows_before:,} rows before, {report.rows_after:,} after"]
    for head, rows in _tables(report):
        widths = [max(len(line[place]) for line in [head, *rows]) for place in range(len(head))]
        padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in [head, *rows])
        parts.append("\n".join("  ".join(line).rstrip() for line in padded))
    return "\n\n".join(parts)


def report_html(report: Any) -> str:
    """The same as HTML."""
    parts = [f"<p>{report.rows_before:,} rows before, {report.rows_after:,} after</p>"]
    for head, rows in _tables(report):
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
        parts.append(f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>")
    return "".join(parts)


def _tables(report: Any) -> Iterator[tuple[Sequence[str], list[tuple[str, ...]]]]:
    operations: list[tuple[str, ...]] = [
        (
            done.operation, ", ".join(done.columns), f"{done.changed:,}", f"{done.removed:,}",
            f"{done.nulls_before:,}", f"{done.nulls_after:,}",
            f"{shorten(done.examples[0][0], 24)} to {shorten(done.examples[0][1], 24)}" if done.examples else "",
        )
        for done in report.operations
    ]  # fmt: skip
    columns: list[tuple[str, ...]] = [
        (
            item.column, item.change, item.type_before or "", item.type_after or "",
            _count(item.missing_before), _count(item.missing_after),
        )
        for item in report.columns
        if item.change != "kept" or item.type_before != item.type_after or item.missing_before != item.missing_after
    ]  # fmt: skip
    if operations:
        yield _OPERATIONS, operations
    if columns:
        yield _COLUMNS, columns


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
