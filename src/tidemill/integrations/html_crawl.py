"""From page to page of a site, within bounds: the next page, and the pages that links lead to."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urldefrag

from tidemill.integrations.html_extract import Page
from tidemill.integrations.html_pages import Fetched, Site

_MOST_PAGES = 100


def crawl(site: Site, start: str, options: Mapping[str, Any]) -> Iterator[tuple[Fetched, Page]]:
    """The pages that hold rows, in the order in which links are met.

    Parameters
    ----------
    site
        Fetches pages.
    start
        The first page.
    options
        ``next`` selects the link to the next page. ``follow`` selects links to the pages that hold the rows, instead of
        the page itself; ``depth`` says how many such links lie between, by default one. ``max_pages`` bounds the pages
        that are fetched in all.

    Raises
    ------
    DataError
        If a page cannot be had, or there are more pages than the default bound.

    Warns
    -----
    UserWarning
        If there are more pages than the bound that was set.
    """
    follow = options.get("follow")
    depth = int(options.get("depth", 1)) if follow else 0
    most = int(options.get("max_pages", _MOST_PAGES))
    waiting: deque[tuple[str, int]] = deque([(urldefrag(start).url, 0)])
    met = {waiting[0][0]}
    fetched = 0
    while waiting:
        if fetched >= most:
            _stop(site, most, len(waiting), waiting[0][0], is_chosen="max_pages" in options)
            return
        url, level = waiting.popleft()
        found = site.page(url)
        fetched += 1
        met.add(found.url)
        page = Page(found.url, found.text)
        if level == depth:
            yield found, page
        links = [(link, level + 1) for link in page.links(follow)] if follow and level < depth else []
        if "next" in options:
            links += [(link, level) for link in page.links(options["next"])[:1]]
        for link, place in links:
            if link not in met and site.serves(link):
                met.add(link)
                waiting.append((link, place))


def _stop(site: Site, most: int, left: int, url: str, *, is_chosen: bool) -> None:
    """Say that there is more: by a warning where the bound was chosen, by an error where nobody has thought of it."""
    if not is_chosen:
        raise site.error(f"is one of more than {most} pages", url, "Set max_pages to how many you want to read.")
    warnings.warn(
        f"source {site.source!r} was read up to max_pages = {most}: {left:,} more pages are linked, the first is {url}",
        UserWarning,
        stacklevel=2,
    )
