"""A report is opened in a browser, on a desk and on a phone: it must be there, whole, and not wider than the screen."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import polars as pl
import pytest

from tidemill.core.records import ModelVersion, Run
from tidemill.data.explore import explore
from tidemill.server.report import write_report
from tidemill.server.report.exploring import write_exploration
from tidemill.server.summary import RunSummary, Stage

pytestmark = [pytest.mark.services, pytest.mark.slow]

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
WIDTHS = {"desk": 1280, "phone": 390}
#: Writes into the page how wide it is, whether a label of a chart lies outside the window, and how wide its narrowest
#: sentence in a table is.
MEASURE = """<script>addEventListener('load', () => {
  const out = document.createElement('pre'), seen = document.documentElement;
  const cut = [...document.querySelectorAll('svg text')].filter(t => t.getBoundingClientRect().left < 0).length;
  const told = [...document.querySelectorAll('td:not(:has(*))')].filter(t => t.textContent.length > 30);
  const least = Math.floor(Math.min(999, ...told.map(t => t.getBoundingClientRect().width)));
  out.id = 'measured'; out.textContent = [seen.scrollWidth, seen.clientWidth, cut, least].join(' ');
  document.body.append(out);
})</script>"""


def chromium(profile: Path, *arguments: str) -> str:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-sync", *quiet]
    done = subprocess.run(
        [*command, f"--user-data-dir={profile}", *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


@pytest.fixture
def report(tmp_path: Path) -> Path:
    table = pl.DataFrame({f"a_column_with_a_long_name_{n}": [float(i % (n + 2)) for i in range(60)] for n in range(12)})
    promise = {"name": "r", "statement": "Ranks the late ones clearly better than last month's average does"}
    promise |= {"moment": "test", "bound": "roc_auc ≥ 0.65", "value": 0.7}
    promise |= {"low": 0.69, "high": 0.71, "margin": 0.05, "status": "passed"}
    version = ModelVersion("01v", "tide", 1, 0, "01r", None, "01p", gate={"passed": True, "promises": [promise]})
    names = ("read", "explore", "a_step_with_a_rather_long_name_indeed", "register_model")
    stages = [Stage(name, name, "succeeded", 0.4, 0.4, 60, 60, name) for name in names]
    run = Run("01r" + "0" * 23, "a-project-with-a-rather-long-name", "train", "succeeded", 0, 2_000_000)
    records = (("explore", "output", explore(table)), ("register", "output", version))
    return write_report(RunSummary(run, tuple(stages), records, {"explore": "tides"}), tmp_path / "report.html")


@pytest.fixture
def exploration(tmp_path: Path) -> Path:
    names = [f"a column <{n}> with a long name" for n in range(14)] + ["aVeryLongNameWithoutAnySpaceInIt" * 4]
    table = pl.DataFrame({name: [float((i * n) % (n + 5)) for i in range(80)] for n, name in enumerate(names)})
    table = table.with_columns(port=pl.Series(["Emden", "ein sehr langer Wert ohne Ende " * 9] * 40))
    found = explore(table, target=names[1], parts={"a part with a long name": table.head(30)})
    return write_exploration(
        found, tmp_path / "exploration.html", title="a/rather/long/path/to/" + "tides" * 9 + ".csv"
    )


@pytest.mark.parametrize("kind", ["report", "exploration"])
@pytest.mark.parametrize("screen", WIDTHS)
def test_the_page_fits_its_screen_and_is_not_blank(kind, tmp_path, screen, request):
    report = request.getfixturevalue(kind)
    picture = tmp_path / "picture.png"
    chromium(tmp_path / "a", f"--window-size={WIDTHS[screen]},1600", f"--screenshot={picture}", report.as_uri())
    width, height, colours = look_at(picture)
    assert (width, height) == (WIDTHS[screen], 1600)
    assert len(colours) > 20

    # A window cannot be narrower than 500 pixels, so the phone is a frame in one.
    copy = tmp_path / "copy.html"
    copy.write_text(report.read_text(encoding="utf-8").replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe id=f src=copy.html width={WIDTHS[screen]} height=1600 style=border:0></iframe>"
        "<script>f.onload=()=>{document.title=f.contentDocument.getElementById('measured').textContent}</script>"
    )
    options = ["--allow-file-access-from-files", "--virtual-time-budget=4000", "--window-size=1400,1700", "--dump-dom"]
    dom = chromium(tmp_path / "b", *options, frame.as_uri())
    wide, visible, cut, least = map(int, dom.partition("<title>")[2].partition("</title>")[0].split())
    assert visible == WIDTHS[screen]
    assert wide <= visible
    assert cut == 0
    assert least >= 190, "a promise wraps word by word"


def look_at(picture: Path) -> tuple[int, int, set[bytes]]:
    """The size of a PNG with 8 bits a channel, and the colours of every tenth row (filtered bytes: enough to count)."""
    data = picture.read_bytes()
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    channels = {2: 3, 6: 4}[kind]
    body, place = b"", 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            body += data[place + 8 : place + 8 + length]
        place += length + 12
    rows = zlib.decompress(body)
    stride = width * channels + 1
    found: set[bytes] = set()
    for row in range(0, height, 10):
        line = rows[row * stride + 1 : (row + 1) * stride]
        found |= {line[at : at + channels] for at in range(0, len(line), channels)}
    return width, height, found
