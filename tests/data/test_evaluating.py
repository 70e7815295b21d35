"""A lazy table fails late, deep in a verb: without a word on file, column and value, people search the wrong place."""

from __future__ import annotations

import polars as pl
import pytest

import tidemill as tm
from tidemill.core.errors import DataError, SchemaError
from tidemill.data.contract import TableContract
from tidemill.data.operations import CleaningPlan

VERBS = {
    "explore": tm.explore,
    "validate": lambda table: tm.validate(table, TableContract("t")),
    "clean": lambda table: tm.clean(table, CleaningPlan(())),
    "split": lambda table: tm.split(table, tm.by_share(), "a"),
    "key_join": lambda table: tm.key_join(table, table, "a"),
    "infer_contract": tm.infer_contract,
    "explore a target": lambda table: tm.explore(table, target="a"),
}


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """A file whose first column changes its type in row 20,001."""
    path = tmp_path_factory.mktemp("late") / "late.csv"
    path.write_text("a,b\n" + "\n".join(f"{row},{row}" for row in range(20_000)) + "\nfar,1\n")
    return path


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_names_what_is_wrong_with_a_lazy_table(verb, late, tmp_path):
    with pytest.raises(DataError, match=r"nix\.csv\. Check the path"):
        verb(pl.scan_csv(tmp_path / "nix.csv"))
    with pytest.raises(DataError, match=r"column 'a' is not i64, .*'far'.*tm\.read\('.*late\.csv'\)"):
        verb(pl.scan_csv(late))
    with pytest.raises(SchemaError, match=r"no column 'aa': '.*late\.csv'\. Did you mean 'a'"):
        verb(pl.scan_csv(late).select("aa"))


def test_the_way_out_that_is_named_is_one(late):
    with pytest.warns(UserWarning, match="row 20,001"):
        assert tm.read(str(late)).collect().height == 20_001


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lambda here: pl.scan_parquet(here / "*.parquet"), r"no file is there: '.*\*\.parquet'"),
        (lambda here: pl.LazyFrame({"a": ["x"]}).cast(pl.Int64), "conversion from `str` to `i64` failed in column 'a'"),
        (lambda here: pl.LazyFrame({f"c{n}": [1] for n in range(5000)}).select("zzz"), "no column 'zzz'"),
    ],
)
def test_a_lazy_table_that_fails_in_another_way_says_it_in_a_line(tmp_path, table, words):
    with pytest.raises(DataError, match=words) as caught:
        tm.explore(table(tmp_path))
    assert len(str(caught.value)) < 600
    assert isinstance(caught.value.__cause__, pl.exceptions.PolarsError), "the whole plan is lost"


def test_what_the_users_own_code_raises_stays_what_it_is():
    def broken(_: pl.DataFrame) -> pl.DataFrame:
        raise FileNotFoundError(2, "no such port", "ports.txt")

    with pytest.raises(FileNotFoundError, match="no such port"):
        tm.explore(pl.LazyFrame({"a": [1]}).map_batches(broken, schema={"a": pl.Int64}))
