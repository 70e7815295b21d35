"""A rule in Python that is stale in the cache, or that cannot be written down, is worse than none."""

from __future__ import annotations

import polars as pl
import pytest

import tidemill as tm
from tidemill.core.errors import ConfigError
from tidemill.data.contract import Check, TableContract, contract_digest
from tidemill.data.contract_text import contract_from_toml, contract_to_toml
from tidemill.data.expressions import expression_check
from tidemill.engine.materialisers import digest_of

TRIPS = pl.DataFrame({"dep": [5, 7, 6], "arr": [6, 6, None]})


def later(by: int):
    return expression_check("lands later", lambda: pl.col("arr") >= pl.col("dep") + by)


def test_an_expression_finds_its_rows_beside_sql():
    contract = TableContract("trips", checks=(later(0), Check("in the morning", "dep < 7")))
    out = tm.validate(TRIPS, contract)
    assert out.quarantined["reasons"].to_list() == [["lands later", "in the morning"]]
    assert out.report.outcomes[0].columns == ("arr", "dep")


def test_an_edit_of_the_function_changes_the_key_and_nothing_else_does():
    one, same, other = (TableContract("trips", checks=(later(by),)) for by in (0, 0, 1))
    assert digest_of(one) == digest_of(same) != digest_of(other)
    assert contract_digest(one) == contract_digest(same) != contract_digest(other)


def test_it_survives_toml_and_json():
    contract = TableContract("trips", checks=(later(0),))
    again = contract_from_toml(contract_to_toml(contract))
    assert again == contract == TableContract.from_dict(contract.to_dict())
    assert tm.validate(TRIPS, again).valid.height == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: expression_check("c", 3), "no Polars expression"),
        (lambda: expression_check("c", lambda: "arr > dep"), "no Polars expression"),
        (lambda: expression_check("c", pl.col("dep").map_batches(lambda s: s > 3)), "holds a Python function"),
        (lambda: TableContract.from_dict({"name": "t", "checks": {"c": {"condition": "x", "language": "r"}}}), "langu"),
        (lambda: tm.validate(TRIPS, TableContract("t", checks=(Check("c", "{", language="polars"),))), "not a Polars"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_rule_is_said(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
