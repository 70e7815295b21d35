"""The key changes with each of its parts, and the explanation names the one that did."""

from __future__ import annotations

import pytest

from tidemill.engine.key import Fingerprint, explain, key_of

CODE = Fingerprint("c0de", {"step flow.fit": "1", "package polars": "2.0.0"})
BASE = {"parameters": {"trials": "a"}, "inputs": {"data": "b"}, "environment": {"TZ": "UTC"}, "version": "1"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"parameters": {"trials": "x"}}, "parameter trials changed"),
        ({"inputs": {"data": "x"}}, "input data changed"),
        ({"environment": {"TZ": "CET"}}, "environment variable TZ changed"),
        ({"version": "2"}, "version changed from 1 to 2"),
        ({"version": ""}, "version is no longer used"),
        ({"parameters": {"trials": "a", "seed": "s"}}, "new parameter seed"),
        ({"inputs": {}}, "input data is no longer used"),
    ],
)
def test_each_part_changes_the_key_and_is_named(change, sentence):
    before, after = key_of(CODE, **BASE), key_of(CODE, **{**BASE, **change})
    assert before.digest != after.digest
    assert explain(before.parts, after.parts) == [sentence]


def test_the_order_of_parameters_does_not_count():
    one = key_of(CODE, {"a": "1", "b": "2"}, {}, {})
    two = key_of(CODE, {"b": "2", "a": "1"}, {}, {})
    assert one.digest == two.digest


def test_parameter_and_input_of_one_name_are_told_apart():
    assert key_of(CODE, {"a": "1"}, {}, {}).digest != key_of(CODE, {}, {"a": "1"}, {}).digest


def test_the_value_of_an_environment_variable_is_not_kept():
    key = key_of(CODE, {}, {}, {"TOKEN": "s3cret"})
    assert "s3cret" not in str(key)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ({"function a.f": "1"}, {"function a.f": "2"}, "helper a.f changed"),
        ({}, {"function a.f": "2"}, "new helper a.f"),
        ({"function a.f": "2"}, {}, "helper a.f is no longer used"),
        ({"constant a.LIMIT": "1"}, {"constant a.LIMIT": "2"}, "constant a.LIMIT changed"),
        ({"closure a.fit.<t>": "1"}, {"closure a.fit.<t>": "2"}, "closure value t of a.fit changed"),
        ({"default a.fit.<t>": "1"}, {"default a.fit.<t>": "2"}, "default t of a.fit changed"),
        ({"package polars": "2.0.0"}, {"package polars": "2.1.0"}, "package polars changed from 2.0.0 to 2.1.0"),
        ({}, {"package polars": "2.1.0"}, "new package polars 2.1.0"),
        ({"python": "3.11"}, {"python": "3.12"}, "Python changed from 3.11 to 3.12"),
    ],
)
def test_sentences(before, after, sentence):
    assert explain(before, after) == [sentence]


def test_no_earlier_execution_and_no_difference():
    assert explain(None, {"python": "3.11"}) == ["never ran before"]
    assert explain({"python": "3.11"}, {"python": "3.11"}) == []
