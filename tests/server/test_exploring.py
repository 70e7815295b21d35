"""The page of an exploration is passed on to people who were not there: whole, safe and small, whatever the table."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from tidemill.data.explore import Exploration, explore
from tidemill.server.report import data_sections, small_charts
from tidemill.server.report.exploring import badges, exploration_page, write_exploration
from tidemill.server.report.small_charts import Bar

LIMIT = 1_000_000
ROWS = 400
RNG = np.random.default_rng(0)


class Page(HTMLParser):
    """The elements, ids, links and visible text of a page; fails on an end tag that does not match."""

    VOID = frozenset({"meta", "br", "hr", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        self.ids = [value for name, value in self.attributes if name == "id"]
        self.links = [value for name, value in self.attributes if name in ("href", "src")]
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def check(found: Exploration, **options) -> Page:
    """The page, if it is one safe file."""
    html = exploration_page(found, **options)
    page = Page(html)
    assert len(html.encode()) < LIMIT
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert not re.search(r"url\(|@import", html)
    notebook = Page(found._repr_html_())
    assert not {"script", "link", "iframe"} & set(notebook.tags)
    assert not [name for name, _ in notebook.attributes if name.startswith("on")]
    assert notebook.ids == []
    return page


def tides() -> pl.DataFrame:
    level = RNG.normal(3, 1, ROWS)
    return pl.DataFrame(
        {
            "port": RNG.choice(["Emden", "Husum", "Esbjerg"], ROWS),
            "level": np.where(np.arange(ROWS) == 7, 9_123.5, level),
            "depth": level * 2 + RNG.normal(0, 0.1, ROWS),
            "wind": [None if place % 3 else float(place % 11) for place in range(ROWS)],
            "gust": [None if place % 3 else float(place % 7) for place in range(ROWS)],
            "at": [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=h + (h > 200) * 99) for h in range(ROWS)],
            "number": range(ROWS),
            "high": level > 3.5,
        }
    )


def test_every_part_of_the_record_has_its_place():
    table = tides()
    later = table.with_columns(depth=pl.col("depth") + 5)
    found = explore(table, target="high", parts={"later": later})
    page = check(found, title="tides.csv", lead="Of the North Sea")
    for title in (
        "tides.csv", "Of the North Sea", "Findings", "Columns", "Column by column", "Missing values",
        "Missing together", "The target", "Associations", "Keys and duplicates", "Time", "Other parts",
        "What this is from",
    ):  # fmt: skip
        assert title in page.text, title
    assert "impossible value" in page.text
    assert "such as 9123.5" in page.text
    assert "of 499 hours have no row" in page.text
    assert "exactly these are missing 266 66.50% wind , gust" in page.text
    assert "later depth differs Kolmogorov-Smirnov" in page.text
    assert f"all {ROWS} rows" in page.text
    assert page.tags.count("svg") > 20
    assert page.tags.count("article") >= len(table.columns)


def test_a_finding_is_linked_to_its_column_and_back():
    html = exploration_page(explore(tides()))
    card = re.search(r'<article class="card" id="(c\d+)"><h3>level', html)
    assert card is not None
    assert f'href="#{card[1]}"' in html
    assert 'class="tag bad" href="#f-error-impossible_value"' in html
    assert 'id="f-error-impossible_value"' in html


def test_badges_say_how_it_stands():
    table = tides()
    assert badges(explore(table))[:3] == [
        ("rows", "400", "plain"),
        ("columns", "8", "plain"),
        ("missing cells", "16.6%", "plain"),
    ]
    assert ("error", "1", "bad") in badges(explore(table))
    clean = pl.DataFrame({"a": [0.5 * place for place in range(30)]})
    assert badges(explore(clean))[-1] == ("findings", "none", "good")


NAMES = ["<script>alert(1)</script>", "a\nb\x1b[31m", '🌊" onload="x', "' onmouseover='x", "", "x" * 100_000, "a&amp;b"]
TABLES = {
    "nothing": pl.DataFrame(),
    "no rows": pl.DataFrame({"a": [], "t": pl.Series([], dtype=pl.Datetime)}),
    "one row": pl.DataFrame({"a": [1], "b": ["x"], "t": [datetime(2020, 1, 1)]}),
    "only missing": pl.DataFrame({"a": [None] * 20, "b": pl.Series([None] * 20, dtype=pl.Float64)}),
    "names": pl.DataFrame({name: RNG.permutation(40) for name in NAMES}),
    "texts": pl.DataFrame(
        {
            "markup": ["<img src=x onerror=alert(1)>", "</td></table>"] * 20,
            "nul": ["a\x00b", "\u202ec"] * 20,
            "long": [f"{'y' * 50_000}{place}" for place in range(40)],
        }
    ),
    "nested": pl.DataFrame({"l": [[1, 2]] * 20, "s": [{"a": 1, "b": [1]}] * 20}),
    "numbers": pl.DataFrame(
        {
            "huge": pl.Series([2**64 - 1, 0, 5] * 10, dtype=pl.UInt64),
            "infinite": [float("inf"), float("-inf"), float("nan")] * 10,
            "mixed": [float("inf"), 1.0, 2.0] * 10,
            "tiny": [5e-324, 1e-320, 0.0] * 10,
            "exact": [Decimal("1.10"), Decimal("2.25"), None] * 10,
            "bytes": [b"\x00\xff"] * 30,
        }
    ),
    "times": pl.DataFrame(
        {
            "d": [date(1, 1, 1), date(9999, 12, 31), date(2000, 1, 1)] * 10,
            "t": [time(1, 2), time(3), None] * 10,
            "s": [timedelta(1), timedelta(-5), None] * 10,
        }
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_no_table_breaks_the_page_or_gets_out_of_it(name):
    table = TABLES[name]
    page = check(explore(table), title=f"<b>{name}</b>")
    assert f"<b>{name}</b>" in page.text
    assert f"{table.height:,}" in page.text
    assert all(letter.isprintable() or letter.isspace() for letter in page.text)


def test_three_hundred_columns_fit_and_a_card_is_kept_for_what_matters():
    names = [f"measurement <{place}> & more" for place in range(300)]
    table = pl.DataFrame({name: RNG.normal(size=60).round(3) for name in names})
    table = table.with_columns(pl.lit(None, dtype=pl.Float64).alias(names[250]))
    page = check(explore(table))
    assert "The 60 most interesting of 300 columns." in page.text
    assert page.text.count(names[250]) >= 2
    assert all(name in page.text for name in names)


def test_the_longest_names_and_values_do_not_make_the_page_too_large():
    hard = "&\"'<🌊" * 100
    columns = {f"{hard}{place}": RNG.normal(size=60) for place in range(70)}
    columns |= {f"{place}{hard}": [None] * 60 for place in range(15)}
    columns |= {f"{hard}{place}{hard}": [f"{hard}{row % 7}" for row in range(60)] for place in range(15)}
    check(explore(pl.DataFrame(columns), target=f"{hard}0", parts={hard: pl.DataFrame(columns)}), title=hard)


@pytest.mark.slow
def test_ten_thousand_columns_stay_under_the_limit_and_say_what_is_left_out():
    table = pl.DataFrame({f"c{place}": [place % 3, place % 5, 1] for place in range(10_000)})
    page = check(explore(table))
    assert re.search(r"The first [\d,]+ of 10,000 columns", page.text)
    assert "The 60 most interesting of 10,000 columns." in page.text


def test_the_file_is_the_page(tmp_path):
    found = explore(tides())
    path = write_exploration(found, tmp_path / "new" / "page.html", title="tides")
    assert path.read_text(encoding="utf-8") == exploration_page(found, title="tides")


def test_the_page_of_a_run_tells_it_too_and_can_tell_several():
    found = explore(tides(), target="high", parts={"same": tides()})
    body = data_sections.exploration(found).body
    page = Page(body)
    assert page.ids == []  # a run may have explored several tables
    for title in ("Columns", "The target", "Associations", "Missing values", "Keys", "Time", "Other parts", "From"):
        assert title in page.text, title


def test_charts_say_in_words_what_they_show():
    assert 'aria-label="levels"' in small_charts.histogram([0, 1, 2], [3, 1], label="levels")
    assert small_charts.histogram([0, 1], [0], label="nothing") == ""
    bars = Page(small_charts.bars([Bar("<b>", 0.25, "25 %")]))
    assert bars.text == "<b> 25 %"
    assert ("style", "width:25%") in bars.attributes
    mapped = Page(small_charts.heat_map(["a", "b<"], {(1, 0): (-0.5, "Pearson")}))
    assert "b< and a: -0.50 (Pearson)" in mapped.text


def test_areas_are_as_the_counts_where_bins_differ():
    drawn = small_charts.histogram([0, 1, 3], [1, 2], label="x", width=100, height=10)
    heights = re.findall(r"v-([\d.]+)h", drawn)
    assert heights == ["10", "10"]
