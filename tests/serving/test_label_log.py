"""The truth about an answer arrives late, twice or corrected; a model is judged by what counts of it in the end."""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.clock import VirtualClock, to_us, use_clock
from tidemill.core.errors import ConfigError, InvalidRequestError, UsageError
from tidemill.project import load_project, use_project
from tidemill.serving.log.joining import label_coverage
from tidemill.serving.log.labelling import LabelLog, Told, read_labels
from tidemill.serving.log.privacy import OPEN, Privacy, hashed
from tidemill.serving.log.querying import log_labels, predictions
from tidemill.serving.log.reading import scan_labels
from tidemill.serving.log.sealing import seal
from tidemill.serving.log.writer import PredictionLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = "the key of the hashes"
SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [{"name": "miles", "type": "int64"}],
}  # fmt: skip


def ask(log: PredictionLog, request: str, *entities: str | None, at: datetime = NOON, **schema: Any) -> None:
    rows: Any = [[number] for number in range(len(entities))]
    log.append({**SCHEMA, **schema}, request, to_us(at), 1, rows, [{"late": True}] * len(rows), entities=entities)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    log = PredictionLog(tmp_path, "delays")
    ask(log, "one", "ann")
    ask(log, "two", "ann", "ben", at=NOON + HOUR)
    ask(log, "three", "ann", at=NOON + 2 * HOUR, digest="v3", version=3, variant="challenger")
    log.close()
    return tmp_path


def labelled(root: Path, **options: Any) -> dict[tuple[str, int], str | None]:
    frame = predictions(root, "delays", labels=True, **options).collect()
    return {(request, row): label for request, row, label in frame.select("request_id", "row", "label").rows()}


def test_labels_meet_the_rows_that_they_name_and_are_as_late_as_they_are(root: Path) -> None:
    at = NOON + 3 * HOUR
    given = [{"request_id": "one", "label": True, "at": at}, {"request_id": "two", "row": 1, "label": 0, "at": at}]
    assert log_labels(given, "delays", root=root) == 2
    frame = predictions(root, "delays", labels=True).collect()
    got = {(row["request_id"], row["row"]): row for row in frame.to_dicts()}
    assert {place: row["label"] for place, row in got.items()} == {
        ("one", 0): "true", ("two", 0): None, ("two", 1): "false", ("three", 0): None,
    }  # fmt: skip
    assert got["one", 0]["label_at"] == at
    assert (got["one", 0]["label_delay_s"], got["two", 1]["label_delay_s"]) == (3 * 3600, 2 * 3600)
    assert got["three", 0]["label_delay_s"] is None


def test_a_label_that_does_not_say_which_of_several_rows_it_means_is_nobodys(root: Path) -> None:
    log_labels([{"request_id": "two", "label": False}], "delays", root=root)
    assert set(labelled(root).values()) == {None}
    assert label_coverage(root, "delays").unmatched == 1


def test_a_label_of_an_entity_belongs_to_the_last_prediction_before_it(root: Path) -> None:
    told = {"entity": "ann", "label": "yes", "as_of": NOON + 1.5 * HOUR, "at": NOON + 9 * HOUR}
    log_labels([told], "delays", root=root)
    assert {place for place, label in labelled(root).items() if label} == {("two", 0)}
    assert {place for place, label in labelled(root, window=HOUR).items() if label} == {("two", 0)}
    assert not any(labelled(root, window=HOUR / 4).values())


def test_a_window_of_predictions_does_not_lend_its_rows_the_labels_of_later_ones(root: Path) -> None:
    log_labels([{"entity": "ann", "label": "yes", "at": NOON + 9 * HOUR}], "delays", root=root)
    assert not any(labelled(root, until=NOON + HOUR).values())
    assert labelled(root, since=NOON + 1.5 * HOUR) == {("three", 0): "yes"}


def test_a_label_of_an_entity_before_any_prediction_is_kept_and_counted(root: Path) -> None:
    told = [
        {"entity": "ann", "label": 1, "at": NOON - HOUR},
        {"entity": "nobody", "label": 1, "at": NOON + HOUR},
        {"request_id": "of another log", "label": 1, "at": NOON},
    ]
    log_labels(told, "delays", root=root)
    coverage = label_coverage(root, "delays")
    assert (coverage.told, coverage.unmatched, coverage.labelled) == (3, 3, 0)
    assert scan_labels(root, "delays").frame.collect().height == 3


def test_a_correction_wins_by_its_time_whatever_the_order_of_arrival(root: Path) -> None:
    def tell(label: str, hours: int, arrival: int) -> None:
        with use_clock(VirtualClock(NOON + arrival * HOUR)):
            log_labels([{"request_id": "one", "label": label, "at": NOON + hours * HOUR}], "delays", root=root)

    tell("first", 5, arrival=50)
    tell("corrected", 7, arrival=51)
    tell("late news of before", 6, arrival=52)
    assert labelled(root)["one", 0] == "corrected"
    tell("of the same moment, told later", 7, arrival=53)
    assert labelled(root)["one", 0] == "of the same moment, told later"
    history = scan_labels(root, "delays").frame.collect()["label"].to_list()
    assert history == ["first", "corrected", "late news of before", "of the same moment, told later"]


def test_a_label_told_twice_counts_once_and_is_as_old_as_the_first(root: Path) -> None:
    for hours in (3, 4, 9):
        with use_clock(VirtualClock(NOON + hours * HOUR)):
            log_labels([{"request_id": "one", "label": True}], "delays", root=root)
    frame = predictions(root, "delays", labels=True).collect()
    assert frame.height == 4
    assert frame.filter(request_id="one")["label_delay_s"].to_list() == [3 * 3600]
    coverage = label_coverage(root, "delays")
    assert (coverage.told, coverage.labelled, coverage.unmatched) == (3, 1, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_what_holds_does_not_depend_on_how_labels_are_spread_over_segments(told: list[tuple[str, int, int]]) -> None:
    told = sorted(told, key=lambda one: one[2])
    with tempfile.TemporaryDirectory() as folder:
        log = PredictionLog(folder, "delays")
        ask(log, "one", "ann")
        log.close()
        draw = random.Random(len(told))
        labels = LabelLog(folder)
        for label, at, arrival in told:
            one = Told("one", 0, None, None, label, to_us(NOON + at * HOUR))
            labels.append({"delays" if draw.random() < 0.5 else None: [one]}, to_us(NOON + arrival * HOUR))
            if draw.random() < 0.3:
                labels.finish("delays", "")
                seal(folder)
        labels.close()
        newest = max((at, arrival) for _, at, arrival in told)
        possible = {label for label, at, arrival in told if (at, arrival) == newest}
        assert labelled(Path(folder))["one", 0] in possible


def test_tables_of_every_kind_are_taken(root: Path) -> None:
    table = pl.DataFrame({"request_id": ["one", "two"], "row": [None, 0], "label": [1.5, 2.5], "at": [NOON, NOON]})
    want = {("one", 0): "1.5", ("two", 0): "2.5", ("two", 1): None, ("three", 0): None}
    for form in (table, table.lazy(), table.to_arrow(), table.to_dicts()):
        assert log_labels(form, "delays", root=root) == 2
        assert labelled(root) == want
    frame = pd.DataFrame(
        {"request_id": ["one", "three"], "label": [True, False], "at": pd.to_datetime([NOON + HOUR] * 2)}
    )
    log_labels(frame, "delays", root=root)
    assert labelled(root)["one", 0] == "true"
    with pytest.raises(UsageError, match="these are no labels"):
        log_labels("one", "delays", root=root)


@pytest.mark.parametrize(
    ("label", "complaint"),
    [
        ({"label": 1}, "request_id or entity"),
        ({"label": 1, "request_id": "a", "entity": "b"}, "request_id or entity"),
        ({"request_id": "a"}, "there is no label"),
        ({"request_id": "a", "label": None}, "there is no label"),
        ({"request_id": "a", "label": float("nan")}, "there is no label"),
        ({"request_id": "a", "label": [1]}, "the name of a label is no text"),
        ({"request_id": "a", "label": {"late": "maybe"}}, "label 'late' is neither true nor false"),
        ({"request_id": "a", "label": {"late": None}}, "there is no label"),
        ({"request_id": 7, "label": 1}, "request_id is no text"),
        ({"request_id": "a", "label": 1, "row": -1}, "no place in a request"),
        ({"request_id": "a", "label": 1, "row": True}, "no place in a request"),
        ({"request_id": "a", "label": 1, "at": "yesterday"}, "at is no moment"),
        ({"request_id": "a", "label": 1, "at": "2999-01-01"}, "in the future"),
        ({"request_id": "a", "label": 1, "at": 5}, "at is no moment"),
        ({"request_id": "a", "label": 1, "as_of": "2026-01-01"}, "as_of goes with an entity"),
        ({"request_id": "a", "lable": 1}, "Did you mean 'label'"),
        ({"entity": "a", "label": 1}, "needs the model"),
        ({"entity": 1.5, "label": 1, "model": "delays"}, "neither text nor whole number"),
        ({"entity": "a", "label": 1, "model": "delays", "row": 1}, "row goes with a request_id"),
        ({"request_id": "a", "label": 1, "model": 5}, "the model is no text"),
        ("a", "a label is an object"),
    ],
)
def test_a_label_that_cannot_be_is_refused_with_its_place_and_nothing_is_written(
    tmp_path: Path, label: Any, complaint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=complaint) as raised:
        log_labels([{"request_id": "good", "label": 1}, label], root=tmp_path)
    assert "label 1:" in str(raised.value)
    assert list(tmp_path.rglob("*.log")) == []


def test_a_moment_before_all_of_utc_is_refused_and_shown_where_an_old_log_has_it(root: Path) -> None:
    early = "0001-01-01T00:00:00+10:00"
    for label in ({"request_id": "one", "at": early}, {"entity": "ann", "as_of": early}):
        with pytest.raises(InvalidRequestError, match="before the year 1 in UTC"):
            log_labels([{"label": True, **label}], "delays", root=root)
    first = datetime(1, 1, 1, tzinfo=UTC)
    log_labels([{"request_id": "one", "label": True, "at": first}], "delays", root=root)
    was, log = to_us(datetime.fromisoformat(early)), LabelLog(root)
    log.append({"delays": [Told("one", 0, None, None, "old", was), Told(None, None, "ann", was, "old", was)]}, 0)
    log.close()
    for _ in range(2):
        found = tm.label_history("delays", root=root).to_dicts()
        assert sorted((one["label"], one["at"]) for one in found) == [("old", first), ("old", first), ("true", first)]
        assert labelled(root)["one", 0] == "true"
        seal(root)


def test_sealing_keeps_labels_and_can_be_repeated(root: Path) -> None:
    log_labels([{"request_id": "one", "label": 1}], root=root)
    log_labels([{"entity": "ben", "label": 0}], "delays", root=root)
    before = labelled(root)
    assert before["one", 0] == "true"
    assert before["two", 1] == "false"
    assert seal(root)
    assert seal(root) == []
    assert (scan_labels(root).open, scan_labels(root).sealed) == (0, 2)
    assert labelled(root) == before
    assert predictions(root).collect().height == 4


def test_coverage_tells_versions_and_variants_apart(root: Path) -> None:
    told = [{"request_id": name, "row": 0, "label": 1, "at": NOON + 4 * HOUR} for name in ("one", "two", "elsewhere")]
    log_labels(told, "delays", root=root)
    coverage = tm.label_coverage(root, "delays")
    assert (coverage.rows, coverage.labelled, coverage.share) == (4, 2, 0.5)
    assert (coverage.told, coverage.unmatched) == (3, 1)
    assert coverage.delay_s == {"p50": 3.5 * 3600, "p90": 3.9 * 3600, "p99": 3.99 * 3600, "max": 4 * 3600}
    assert [(one.version, one.variant, one.rows, one.labelled) for one in coverage.by] == [
        (2, "champion", 3, 2), (3, "challenger", 1, 0),
    ]  # fmt: skip
    assert coverage.by[1].delay_s == {}
    assert tm.label_coverage(root, "delays", since=NOON + 2 * HOUR).share == 0.0
    assert tm.label_coverage(root, "nothing of the kind").share == 0.0


def test_labels_of_hashed_entities_are_hashed_before_they_are_written(tmp_path: Path) -> None:
    private = Privacy(hash=("entity",), key=KEY)
    log = PredictionLog(tmp_path / "log", "delays", privacy=private)
    ask(log, "one", "ann@mill.org")
    log.close()
    settings = (
        f'[project]\nname = "x"\n[serving]\nlog = "log"\nhash_key = "{KEY}"\n[endpoints.delays]\nhash = ["entity"]\n'
    )
    (tmp_path / "tidemill.toml").write_text(settings)
    with use_project(load_project(tmp_path)):
        log_labels([{"entity": "ann@mill.org", "label": True}], "delays")
        assert predictions(model="delays", labels=True).collect()["label"].to_list() == ["true"]
    assert not [path for path in (tmp_path / "log").rglob("*.log") if b"ann@mill" in path.read_bytes()]
    assert scan_labels(tmp_path / "log").frame.collect()["entity"].to_list() == [hashed(KEY, "entity", "ann@mill.org")]
    assert read_labels([{"entity": 5, "label": 1}], 0, lambda _: private, "delays")["delays"][0].entity == hashed(
        KEY, "entity", "5"
    )


def test_labels_of_entities_that_are_not_kept_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="keeps no entities"):
        read_labels([{"entity": "ann", "label": 1}], 0, lambda _: Privacy(redact=("entity",)), "delays")
    with pytest.raises(ConfigError, match="hashes need a key"):
        Privacy(hash=("entity",))
    assert read_labels([], 0, lambda _: OPEN) == {}
