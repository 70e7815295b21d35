"""From one page of an API to the next, until the last one; a pagination that does not end is noticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import ConfigError
from tidemill.integrations.rest_client import Client

_MOST_PAGES = 10_000
#: kind -> its keys and their defaults; None must be given.
_KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "page": {"param": "page", "first": 1, "size_param": "", "size": 0, "total": ""},
    "offset": {"param": "offset", "limit_param": "limit", "limit": 100, "total": ""},
    "cursor": {"param": "cursor", "next": None},
    "link": {},
    "next_url": {"next": None},
}
#: Kinds that end with an empty page, or one that is not full.
_COUNTING = ("page", "offset")


def pages(
    client: Client, parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[list[Mapping[str, Any]]]:
    """The records of each page.

    Parameters
    ----------
    client
        Of the API.
    parameters
        Of every request.
    options
        Of the source: ``pagination``, ``records`` (the path to the list in an answer, such as ``"data.items"``) and
        ``max_pages``.

    Raises
    ------
    DataError
        If a page is no list of records, the pages repeat themselves, or there are more than ``max_pages``.
    """
    plan = _plan(client.source, options.get("pagination", {}))
    most = options.get("max_pages", _MOST_PAGES)
    asked: set[str] = set()
    previous = ""
    url, query, number, seen = client.address, {**parameters, **_first(plan)}, 0, 0
    while True:
        place = digest_bytes(repr((url, sorted(query.items(), key=str))).encode())
        body, response = client.ask(url, query)
        shown_url = response.request.url
        content = digest_bytes(response.content)
        records = _records(client, body, options.get("records", ""), shown_url)
        if place in asked or (plan["kind"] in _COUNTING and records and content == previous):
            raise client.error("gives the same page again and again", shown_url, "Check pagination.")
        asked.add(place)
        previous = content
        number, seen = number + 1, seen + len(records)
        yield records
        left = _left(client, plan, body, seen, shown_url) if plan.get("total") else None
        if left is not None and not records and left > 0:
            raise client.error(f"ended {left:,} records before the total that it tells", shown_url, "Run again.")
        following = None if left == 0 else _following(plan, body, response, number, len(records))
        if following is None:
            return
        if number >= most:
            raise client.error(f"has more than {most} pages", shown_url, "Raise max_pages, or narrow params.")
        target, extra = following
        url, query = (target, {}) if target else (client.address, {**parameters, **extra})


def _plan(source: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(raw.get("kind", "none"))
    keys = _KINDS.get(kind)
    if keys is None:
        raise ConfigError(
            f"[sources.{source}] pagination has an unknown kind", value=kind, hint=f"Use one of {', '.join(_KINDS)}."
        )
    plan = {**keys, **raw, "kind": kind}
    wrong = [key for key in raw if key not in keys and key != "kind"] + [k for k in plan if plan[k] is None]
    if wrong:
        raise ConfigError(
            f"[sources.{source}] pagination of kind {kind!r} has wrong or missing keys",
            value=wrong,
            hint=f"It takes: {', '.join(keys) or 'nothing'}.",
        )
    return plan


def _first(plan: Mapping[str, Any]) -> dict[str, Any]:
    if plan["kind"] == "page":
        return {plan["param"]: plan["first"], **_size(plan)}
    return {plan["param"]: 0, plan["limit_param"]: plan["limit"]} if plan["kind"] == "offset" else {}


def _size(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {plan["size_param"]: plan["size"]} if plan["size_param"] and plan["size"] else {}


def _following(
    plan: Mapping[str, Any], body: Any, response: Any, number: int, count: int
) -> tuple[str, dict[str, Any]] | None:
    """The URL of the next page, or the parameters that ask for it; None after the last one."""
    kind = plan["kind"]
    if kind == "page":
        is_last = not plan["total"] and (count == 0 or count < plan["size"])
        return None if is_last else ("", {plan["param"]: plan["first"] + number, **_size(plan)})
    if kind == "offset":
        is_last = not plan["total"] and count < plan["limit"]
        return None if is_last else ("", {plan["param"]: number * plan["limit"], plan["limit_param"]: plan["limit"]})
    if kind == "cursor":
        value = at_path(body, plan["next"])
        return ("", {plan["param"]: value}) if value not in (None, "", False) else None
    target = response.links.get("next", {}).get("url") if kind == "link" else None
    if kind == "next_url":
        target = at_path(body, plan["next"])
    return (str(response.request.url.join(str(target))), {}) if target else None


def _left(client: Client, plan: Mapping[str, Any], body: Any, seen: int, url: object) -> int:
    """How many records are still to come by the total that an answer tells."""
    total = at_path(body, plan["total"])
    if isinstance(total, bool) or not isinstance(total, int):
        raise client.error(f"answered no number at {plan['total']!r}: {total!r}", url, "Check pagination.total.")
    return max(0, total - seen)


def at_path(body: Any, path: str) -> Any:
    """The value at a path of keys; None where there is none.

    >>> at_path({"meta": {"next": "abc"}}, "meta.next")
    'abc'
    """
    for key in path.split(".") if path else []:
        body = body.get(key) if isinstance(body, Mapping) else None
    return body


def _records(client: Client, body: Any, path: str, url: object) -> list[Mapping[str, Any]]:
    records = at_path(body, path)
    if not isinstance(records, list):
        keys = f"; the answer has: {', '.join(map(str, body))[:120]}" if isinstance(body, Mapping) else ""
        raise client.error(f"answered no list of records at {path or 'the top'!r}{keys}", url, "Check records.")
    odd = next((item for item in records if not isinstance(item, Mapping)), None)
    if odd is not None:
        raise client.error(f"answered a record that is no object but {type(odd).__name__}", url, "Check records.")
    return records
