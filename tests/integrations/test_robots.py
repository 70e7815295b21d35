"""What a site's owner forbids must be left alone, and what is allowed must not be missed: the cases of RFC 9309."""

from __future__ import annotations

import pytest

from tidemill.integrations.robots import Robots, parse_robots


@pytest.mark.parametrize(
    ("pattern", "path", "is_forbidden"),
    [
        ("/fish", "/fish/salmon.html", True),
        ("/fish", "/Fish.asp", False),
        ("/fish*", "/fishheads?id=1", True),
        ("/fish/", "/fish", False),
        ("/*.php", "/folder/filename.php?parameters", True),
        ("/*.php$", "/filename.php?parameters", False),
        ("/*.php$", "/folder/filename.php", True),
        ("/fish*.php", "/fishheads/catfish.php?parameters", True),
        ("/", "/", True),
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/\u30c4", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/a%2Fb", "/a/b", False),
        ("/$", "/x", False),
        ("", "/x", False),
    ],
)
def test_paths(pattern, path, is_forbidden):
    robots = parse_robots(f"User-agent: *\nDisallow: {pattern}", "tidemill")
    assert (robots.forbids(f"https://host{path}") is not None) == is_forbidden


@pytest.mark.parametrize(
    ("lines", "path", "is_forbidden"),
    [
        ("Allow: /p\nDisallow: /", "/page", False),
        ("Allow: /folder\nDisallow: /folder", "/folder/page", False),
        ("Allow: /page\nDisallow: /*.htm", "/page.htm", True),
        ("Allow: /page\nDisallow: /*.ph", "/page.php5", False),
        ("Disallow: /", "/robots.txt", False),
    ],
)
def test_the_longest_path_decides(lines, path, is_forbidden):
    robots = parse_robots(f"User-agent: *\n{lines}", "tidemill")
    assert (robots.forbids(f"https://host{path}") is not None) == is_forbidden


def test_groups_that_name_the_program_hold_alone_and_together():
    text = """
    Sitemap: https://host/map.xml
    user-agent: TIDEMILL/1.0   # whatever the case and version
    User-Agent: other
    Disallow: /a
    User-agent: *
    Disallow: /b
    User-agent: tidemill
    Disallow: /c
    Crawl-delay: 1.5
    """
    robots = parse_robots(text, "tidemill")
    assert [rule.path for rule in robots.rules] == ["/a", "/c"]
    assert robots.delay == 1.5
    assert [rule.path for rule in parse_robots(text, "stranger").rules] == ["/b"]


@pytest.mark.parametrize(
    "text",
    ["", "\ufeffUser-agent: *", "Disallow: /", "<html>not a robots file</html>", "User-agent: *\nCrawl-delay: soon"],
)
def test_a_file_that_says_nothing_allows_all(text):
    assert parse_robots(text, "tidemill") == Robots()


def test_a_byte_order_mark_does_not_hide_the_first_group():
    assert parse_robots("\ufeffUser-agent: *\r\nDisallow: /x", "tidemill").forbids("http://h/x") is not None
