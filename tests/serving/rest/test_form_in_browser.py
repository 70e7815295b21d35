"""People who write no code try a model in a browser: on a desk and a phone, with a keyboard alone, in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from browser import Browser
from sample_models import flights

import tidemill as tm
from tidemill.packaging.package import Package
from tidemill.serving import predictions, start_server
from tidemill.serving.starting import ServerHandle

pytestmark = [pytest.mark.services, pytest.mark.slow]

SCREENS = {"desk": 1280, "phone": 390}
ANSWERED = "document.querySelector('#answer .big')?.textContent"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FILL = (
    """(([column, value]) => {
  const label = [...document.querySelectorAll('.field label')].find(one => one.textContent.startsWith(column));
  const input = document.getElementById(label.htmlFor);
  input.value = value;
  input.dispatchEvent(new Event('input', {bubbles: true}));
})(""",
    ")",
)
KEY = "a-key-of-sixteen-characters"


@pytest.fixture
def server(packaged: Package, tmp_path: Path) -> Iterator[ServerHandle]:
    with start_server(folders=[packaged.write(tmp_path / "model")], log=tmp_path / "log") as handle:
        yield handle


def opened(browser: Browser, server: ServerHandle, name: str = "flight-delay", **screen: object) -> None:
    browser.open(f"{server.url}/models/{name}", **screen)  # type: ignore[arg-type]
    browser.until("!document.getElementById('desk').hidden")


def fill(browser: Browser, column: str, value: str) -> None:
    browser.run(f"[{column!r}, {value!r}]".join(FILL))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_the_example_is_predicted_explained_and_fits_the_screen(
    browser: Browser, server: ServerHandle, tmp_path: Path, screen: str, dark: bool
) -> None:
    opened(browser, server, width=SCREENS[screen], dark=dark)
    browser.run("document.getElementById('explain').click()")
    browser.run("document.getElementById('predict').click()")
    assert browser.until(ANSWERED) in ("Yes", "No")
    assert browser.run("document.querySelectorAll('#answer dl.rows dt').length") == 5
    assert "threshold" in browser.run("document.querySelector('#answer .bar.large').getAttribute('aria-label')")
    logged = predictions(tmp_path / "log").collect()
    assert logged["request_id"].item() in browser.run("document.getElementById('answer').textContent")
    assert browser.run("document.documentElement.scrollWidth") <= SCREENS[screen]
    picture = browser.picture(tmp_path / "form.png")
    assert len(picture) > 20_000  # a blank page is a fifth of that
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(17, 23, 30)" if dark else "rgb(248, 250, 252)"
    )
    assert {url for url in browser.requested() if not url.startswith((server.url, "data:"))} == set()
    assert browser.complaints() == []


def test_the_form_is_used_with_the_keyboard_alone(browser: Browser, server: ServerHandle, tmp_path: Path) -> None:
    opened(browser, server)
    visited: list[str] = []
    while "Predict" not in visited:
        browser.press("Tab")
        label = "document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent"
        if visited[-1:] != [found := browser.run(label)]:  # a moment has a stop for each of its parts
            visited.append(found)
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", visited
        if visited[-1] == "distance":
            browser.type("9999")
    assert visited[-7:-1] == ["carrier", "distance", "temp", "heavy", "sched_dep", "Say what each input added"]
    browser.press("Enter")
    assert browser.until(ANSWERED)
    assert "outside" in browser.until("document.querySelector('.field .warning')?.textContent")
    assert predictions(tmp_path / "log").collect()["features.distance"].to_list() == [9999]


def test_a_refusal_is_said_at_its_field_which_gets_the_focus(browser: Browser, server: ServerHandle) -> None:
    opened(browser, server)
    fill(browser, "distance", "")
    browser.run("document.getElementById('predict').click()")
    assert "'distance' may not be missing" in browser.until("document.querySelector('.field .error')?.textContent")
    assert browser.run("document.activeElement.labels[0].textContent") == "distance"
    assert browser.run("document.activeElement.getAttribute('aria-invalid')") == "true"
    fill(browser, "sched_dep", "")
    browser.run("document.getElementById('predict').click()")
    assert browser.until("document.querySelectorAll('.field .error').length === 2")
    assert browser.run("document.querySelectorAll('#answer .alert').length") == 2
    assert browser.run("document.activeElement.labels[0].textContent") == "distance"
    fill(browser, "distance", "500")
    fill(browser, "sched_dep", "2013-08-01T12:00:00")
    fill(browser, "temp", "")  # which may be left empty
    browser.run("document.getElementById('predict').click()")
    assert browser.until(ANSWERED)
    assert browser.run("document.querySelectorAll('.field .error').length") == 0


def test_the_curl_line_is_the_request(browser: Browser, server: ServerHandle) -> None:
    import subprocess

    opened(browser, server)
    browser.run("document.getElementById('predict').click()")
    browser.until(ANSWERED)
    line = browser.run("document.getElementById('curl').textContent")
    done = subprocess.run(["bash", "-c", f"{line} -sS"], capture_output=True, text=True, check=True)
    assert '"predictions":[{"late":' in done.stdout


def test_a_key_is_asked_for_and_used(browser: Browser, packaged: Package, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "p"\n[serving]\nkeys = ["{KEY}"]\n')
    folder = packaged.write(tmp_path / "model")
    with start_server(folders=[folder], project=tmp_path, log=tmp_path / "log") as server:
        browser.open(f"{server.url}/models/flight-delay")
        browser.until("document.activeElement.id === 'key'")
        assert "distance" not in browser.run("document.body.textContent")
        browser.type("not-a-key-that-is-known")
        browser.press("Enter")
        browser.until("document.getElementById('key-hint').textContent.includes('not known')")
        browser.type(KEY)
        browser.press("Enter")
        browser.until("!document.getElementById('desk').hidden")
        browser.run("document.getElementById('predict').click()")
        assert browser.until(ANSWERED)
        assert KEY not in browser.run("document.getElementById('curl').textContent")


def test_what_looks_like_markup_is_text(browser: Browser, tmp_path: Path) -> None:
    table = flights().with_columns(pl.col("carrier").replace({"UA": HOSTILE}).alias("<b>carrier</b>")).drop("carrier")
    data = tm.split(table, tm.by_share(), "late", features=["<b>carrier</b>", "distance"])
    import lightgbm

    def build(params: dict[str, int]) -> object:
        return lightgbm.LGBMClassifier(**params, verbose=-1, n_jobs=1)

    model = tm.train(build, {"n_estimators": 5}, data, name="flight-delay", baselines=False)
    folder = tm.package(model, table).write(tmp_path / "hostile")
    with start_server(folders=[folder], log=tmp_path / "log") as server:
        opened(browser, server)
        fill(browser, "<b>carrier</b>", HOSTILE)
        browser.run("document.getElementById('explain').click()")
        browser.run("document.getElementById('predict').click()")
        assert browser.until(ANSWERED)
        assert HOSTILE in browser.run("document.getElementById('answer').textContent")
        assert browser.run("document.querySelectorAll('main b:not(.bar b), main img, main script').length") == 0
        browser.open(server.url)
        assert browser.until("document.querySelector('#models a')?.textContent") == "flight-delay"
        assert browser.complaints() == []
