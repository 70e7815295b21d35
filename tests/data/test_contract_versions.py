"""A contract whose history is lost cannot say which promise a table of last month kept."""

from __future__ import annotations

import threading
from dataclasses import replace

import polars as pl
import pytest

from tidemill.core.errors import NotFoundError
from tidemill.data.contract import Check, ColumnRule, Distribution, TableContract, Unique, contract_digest
from tidemill.data.contract_text import contract_from_toml, contract_to_toml
from tidemill.data.contract_versions import contract_versions, load_contract, save_contract
from tidemill.data.expressions import expression_check
from tidemill.data.infer import infer_contract
from tidemill.data.validate import validate
from tidemill.store import audit, open_store

FIRST = TableContract(
    "weather",
    (ColumnRule("wind", "number", maximum=200), ColumnRule("origin", values=("EWR", "JFK"))),
    (Unique(("origin", "hour")),),
    checks=(Check("gusts", "gust >= wind", "warn"), expression_check("day", lambda: pl.col("hour") < 24)),
    distributions=(
        Distribution("wind", {"kind": "number", "edges": [0.5], "counts": [1, 2], "missing": 0, "rows": 3}),
    ),
)


@pytest.fixture
def store(tmp_path):
    return open_store(f"sqlite:///{tmp_path}/store.db", str(tmp_path / "artifacts"))


def test_every_version_is_kept_with_what_changed_and_who_changed_it(store):
    first = save_contract(FIRST, store=store)
    stricter = replace(FIRST, columns=(ColumnRule("wind", "number", maximum=150), FIRST.columns[1]))
    second = save_contract(stricter, store=store)
    assert (first.version, second.version) == (1, 2)
    assert second.predecessor == first.digest == contract_digest(FIRST)
    assert second.changes == ("column wind: maximum: 200 -> 150 (stricter)",)
    assert second.by == audit.current_user()
    assert contract_versions("weather", store=store) == (first, second)
    assert load_contract("weather", store=store) == stricter
    assert load_contract("weather", 1, store=store) == FIRST
    with store.metadata.reading() as tx:
        assert [event.subject for event in audit.list_events(tx, action="contract.save")] == [
            "contract:weather@2", "contract:weather@1",
        ]  # fmt: skip


def test_an_unchanged_contract_is_no_new_version_and_a_return_to_an_old_one_is(store):
    save_contract(FIRST, store=store)
    assert save_contract(FIRST, store=store).version == 1
    assert save_contract(contract_from_toml(contract_to_toml(FIRST)), store=store).version == 1
    save_contract(replace(FIRST, min_rows=24), store=store)
    back = save_contract(FIRST, store=store)
    assert back.version == 3
    assert back.changes == ("min_rows: 24 -> 1 (laxer)",)
    save_contract(replace(FIRST, name="planes"), store=store)
    assert [(item.name, item.version) for item in contract_versions(store=store)] == [("planes", 1), ("weather", 3)]


def test_what_is_not_there_is_named(store):
    with pytest.raises(NotFoundError, match="no contract of this name"):
        load_contract("weather", store=store)
    save_contract(FIRST, store=store)
    with pytest.raises(NotFoundError, match="There are: weather"):
        contract_versions("wether", store=store)
    with pytest.raises(NotFoundError, match="It has 1 to 1"):
        load_contract("weather", 2, store=store)


def test_two_who_save_at_once_get_numbers_of_their_own(store):
    versions: list[int] = []

    def save(number: int) -> None:
        versions.append(save_contract(replace(FIRST, min_rows=number), store=store).version)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    assert len(contract_versions("weather", store=store)) == 6


def test_a_wide_contract_is_kept_too(store):
    table = pl.DataFrame({f"c{number}": [number, number + 1] for number in range(2_000)})
    wide = infer_contract(table, "wide")
    save_contract(wide, store=store)
    assert load_contract("wide", store=store) == wide


def test_a_report_says_which_contract_it_is_about():
    table = pl.DataFrame({"wind": [1.0], "origin": ["EWR"], "hour": [3], "gust": [2.0]})
    contract = replace(FIRST, distributions=())
    assert validate(table, contract).report.contract_digest == contract_digest(contract)
    assert contract_digest(contract) != contract_digest(FIRST)
