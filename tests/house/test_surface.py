"""A public name that disappears breaks somebody's project; one that slips in must be kept for ever."""

from __future__ import annotations

import inspect

import pytest

import tidemill as tm

PUBLIC = """
    Check CleaningPlan Column ColumnRule ContractError Evaluation Examination FeatureView ForeignKey GateError
    LabelSchema LabellingFunction LeakError Model ModelVersion Package Splits StepError Study TableContract TableSchema
    TableSpec TidemillError TrainingParts Unique asof_join bad_lines by_group by_share by_time case choice clean compare
    compare_versions conditional contract_versions count current_project disturb drift drift_between evaluate explain
    explore expression_check fuzzy_join gate generate infer_contract integers key_join label_coverage label_errors
    label_history label_queue lagged last leaks load load_contract load_project log_labels log_metric log_metrics
    log_params log_tags lookup maximum mean minimum model_card model_test monotone open_project_store package pipeline
    point_in_time predict predictions promote read read_labels recipe register reproduce resample rollback
    rolling_origin run runs same_model save_contract score serve share split start_server step suggest_cleaning test
    total trace train training_set tune uniform use_project validate weak_labels
"""


def test_the_public_names_are_these_and_no_others():
    assert sorted(tm.__all__) == sorted(PUBLIC.split())
    assert set(tm.__all__) <= set(dir(tm))


@pytest.mark.parametrize("name", sorted(tm.__all__))
def test_a_public_name_is_there_and_explains_itself(name):
    found = getattr(tm, name)
    assert (inspect.getdoc(found) or "").strip(), f"tm.{name} has no docstring"


def test_what_is_not_public_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tm.nonsense  # noqa: B018
