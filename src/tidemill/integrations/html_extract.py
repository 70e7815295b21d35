"""From the text of a web page to records and links, by CSS selectors; nothing is fetched here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urldefrag, urljoin, urlsplit

from tidemill.core.errors import ConfigError, DataError, MissingExtraError

try:
    from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError
except ImportError as error:
    raise MissingExtraError("selectolax", "scrape", purpose="reading web pages") from error

Record: TypeAlias = dict[str, Any]

_FIELD = re.compile(r"^(?P<css>.*?)(?:@(?P<attribute>[\w:.-]+))?(?P<many>\[\])?$", re.DOTALL)
_UNSEEN = frozenset({"script", "style", "template", "noscript", "head"})
#: Elements that stand on a line of their own, so that their text does not run into its neighbours'.
_APART = frozenset(
    "address article aside blockquote br caption dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header "
    "hr li main nav ol option p pre section table tbody td tfoot th thead tr ul".split()
)
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_META = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LINKS = frozenset({"href", "src"})
_WEB = frozenset({"http", "https"})
#: More columns than this in one cell is damage, as browsers have it.
_MOST_SPAN = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """Where the value of a column is in a row: an element's text or attribute, the first one or all of them.

    Parameters
    ----------
    css
        Selects the element inside the row; empty for the row itself.
    attribute
        The attribute to read; None for the text.
    many
        Whether all elements count, as a list.
    """

    css: str
    attribute: str | None
    many: bool


def parse_field(text: str) -> Field:
    """Read ``"span.text"``, ``"a@href"``, ``"a.tag[]"`` or ``"@data-id"``.

    >>> parse_field("ul a@href[]")
    Field(css='ul a', attribute='href', many=True)
    """
    match = _FIELD.match(text.strip())
    assert match is not None  # every part of the pattern may be empty
    return Field(match["css"].strip(), match["attribute"], match["many"] is not None)


class Page:
    """One page, parsed.

    Parameters
    ----------
    url
        Where it was found; relative links are resolved against it, or against the page's ``<base>``.
    text
        Its HTML, which may be damaged: it is read as browsers read it.
    """

    def __init__(self, url: str, text: str) -> None:
        self.url = url
        self._tree = LexborHTMLParser(text)
        base = self._tree.css_first("base[href]")
        self._base = url if base is None else urljoin(url, str(base.attributes.get("href") or ""))

    def links(self, selector: str) -> list[str]:
        """The addresses that the selected elements lead to, in their order, each once."""
        field = parse_field(selector)
        found = [node.attributes.get(field.attribute or "href") for node in self._select(self._tree, field.css)]
        targets = [self._resolved(str(target)) for target in found if target]
        return list(dict.fromkeys(target for target in targets if urlsplit(target).scheme in _WEB))

    def records(self, rows: str | None, fields: Mapping[str, Field]) -> list[Record]:
        """A record for each element that `rows` selects (None: the page is one row), a missing value as None."""
        nodes = [self._tree.root] if rows is None else self._select(self._tree, rows)
        return [{name: self._value(node, field) for name, field in fields.items()} for node in nodes]

    def table(self, which: str) -> list[Record] | None:
        """The rows of an HTML table: its header cells are the names of the columns; None if there is no such table.

        Parameters
        ----------
        which
            The number of the table on the page, from ``"1"``, or a CSS selector that one table matches.
        """
        nodes = self._select(self._tree, "table" if which.isdigit() else which)
        if which.isdigit():
            place = int(which) - 1
            return _rows_of(nodes[place]) if 0 <= place < len(nodes) else None
        if len(nodes) > 1:
            raise DataError(
                f"{len(nodes)} tables of the page match the selector {which!r}",
                value=self.url,
                hint='Choose one by its number on the page, such as table = "2", or by its id.',
            )
        return _rows_of(nodes[0]) if nodes else None

    def _value(self, node: Any, field: Field) -> Any:
        found = self._select(node, field.css) if field.css else [node]
        values = [self._read(item, field.attribute) for item in found]
        if field.many:
            return [value for value in values if value is not None]
        return values[0] if values else None

    def _read(self, node: Any, attribute: str | None) -> str | None:
        if attribute is None:
            return text_of(node)
        value = node.attributes.get(attribute)
        if value is None:
            return None
        return self._resolved(value) if attribute in _LINKS else " ".join(value.split())

    def _resolved(self, target: str) -> str:
        try:
            return urldefrag(urljoin(self._base, target.strip())).url
        except ValueError:  # no address at all, such as an unclosed bracket
            return target

    def _select(self, node: Any, css: str) -> list[Any]:
        try:
            return list(node.css(css))
        except SelectolaxError as error:
            raise ConfigError("not a CSS selector", value=css, hint="Try it in a browser's inspector.") from error


def decoded(data: bytes, kind: str, encoding: str | None = None) -> str:
    r"""A page's text: in the encoding given, else that of its byte order mark, header or ``<meta>``, else UTF-8.

    Parameters
    ----------
    data, kind
        The page, and its ``Content-Type``.
    encoding
        What is known better.

    Raises
    ------
    UnicodeDecodeError
        If the page is not in this encoding.
    LookupError
        If there is no such encoding.

    Examples
    --------
    >>> decoded("caf\xe9".encode("latin1"), "text/html; charset=ISO-8859-1")
    'café'
    """
    mark = next((name for bom, name in _MARKS.items() if data.startswith(bom)), None)
    header = _CHARSET.search(kind)
    meta = _META.search(data[:2048])
    named = encoding or mark or (header[1] if header else None) or (meta[1].decode("ascii") if meta else "utf-8")
    # Browsers read what claims to be Latin-1 as Windows-1252, which pages that say so are in.
    return data.decode("cp1252" if named.lower() in ("iso-8859-1", "latin1", "latin-1") else named)


def text_of(node: Any) -> str | None:
    """The text of an element as it is read, with single spaces; None if there is none."""
    if node.tag in _UNSEEN:  # asked for by name, such as data in a script
        return (node.text() or "").strip() or None
    text = " ".join("".join(_texts(node)).split())
    return text or None


def _texts(root: LexborNode) -> Iterator[str]:
    """Text in the order of the page; iteratively, since damaged pages are nested deeply."""
    stack: list[LexborNode | str] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif item.is_text_node:
            yield item.text_content or ""
        elif item.is_element_node and item.tag not in _UNSEEN:
            apart = " " if item.tag in _APART else ""
            stack.append(apart)
            stack.extend(reversed(list(item.iter(include_text=True))))
            stack.append(apart)


def _rows_of(table: Any) -> list[Record]:
    """Records of a table; several header rows are joined, cells that span are repeated."""
    rows = [row for row in table.css("tr") if _owner(row) == table.mem_id]
    header = 0
    while header < len(rows) and _is_header(rows[header]):
        header += 1
    grid = _grid(rows)
    width = max((len(row) for row in grid), default=0)
    padded = [[*row, *[None] * (width - len(row))] for row in grid]
    names = _names(padded[:header], width)
    return [dict(zip(names, row, strict=True)) for row in padded[header:] if any(cell is not None for cell in row)]


def _owner(node: Any) -> int | None:
    parent = node.parent
    while parent is not None and parent.tag != "table":
        parent = parent.parent
    return None if parent is None else int(parent.mem_id)


def _is_header(row: Any) -> bool:
    cells = _cells(row)
    return bool(cells) and (row.parent.tag == "thead" or all(cell.tag == "th" for cell in cells))


def _cells(row: Any) -> list[Any]:
    return [cell for cell in row.iter() if cell.tag in ("td", "th")]


def _grid(rows: Sequence[Any]) -> list[list[str | None]]:
    """The texts of the cells, each in every place that it covers."""
    grid: list[list[str | None]] = []
    above: dict[int, tuple[int, str | None]] = {}  # column -> rows that a cell from above still covers, and its text
    for row in rows:
        line = {place: text for place, (_, text) in above.items()}
        below = {place: (left - 1, text) for place, (left, text) in above.items() if left > 1}
        place = 0
        for cell in _cells(row):
            text, down = text_of(cell), _span(cell, "rowspan")
            for _ in range(_span(cell, "colspan")):
                while place in line:
                    place += 1
                line[place] = text
                if down > 1:
                    below[place] = (down - 1, text)
        grid.append([line.get(place) for place in range(max(line, default=-1) + 1)])
        above = below
    return grid


def _span(cell: Any, name: str) -> int:
    text = str(cell.attributes.get(name) or "1").strip()
    return min(_MOST_SPAN, max(1, int(text))) if text.isdigit() else 1


def _names(header: Sequence[Sequence[str | None]], width: int) -> list[str]:
    """Names from the header rows; a column without one is ``column_3``, a name that comes again gets a number."""
    names: list[str] = []
    for place in range(width):
        words = dict.fromkeys(row[place] for row in header if row[place])
        name = " ".join(word for word in words if word) or f"column_{place + 1}"
        again = 2
        unique = name
        while unique in names:
            unique, again = f"{name}_{again}", again + 1
        names.append(unique)
    return names
