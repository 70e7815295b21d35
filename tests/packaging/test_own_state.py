"""A model of the user's own class must travel without pickle, and a file must not choose what is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up import made_up
from own_models import Nearest, Opaque

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError
from tidemill.packaging.formats import native_format
from tidemill.packaging.formats.own_state import FILE, allowing, load, save
from tidemill.packaging.zips import read_zip, write_zip
from tidemill.serving.predictor import open_predictor
from tidemill.training.frameworks import framework_name

SHARED = Path(__file__).parents[1] / "_shared"


@pytest.fixture(scope="module")
def model():
    return tm.train(lambda params: Nearest(), {}, made_up("multiclass"), baselines=False)


def forged(files, name):
    members = read_zip(files[FILE])
    outline = {**json.loads(members["state.json"]), "class": name}
    return {FILE: write_zip({**members, "state.json": json.dumps(outline).encode()})}


def test_it_is_read_elsewhere_only_into_a_class_that_was_allowed(model, tmp_path):
    data = made_up("multiclass")
    packaged = tm.package(model, data.test)
    assert model.framework == "own"
    packaged.write(tmp_path / "package")
    program = """
import json, sys
from tidemill.serving.predictor import open_predictor
from tidemill.training.frameworks import framework_name
served = open_predictor(sys.argv[1], allow=sys.argv[2:])
print(json.dumps(served.predict(json.load(sys.stdin))))
"""
    rows = data.test.head(5).select(model.signature.inputs.names).to_dicts()

    def ask(*allow):
        command = [sys.executable, "-c", program, str(tmp_path / "package"), *allow]
        environment = {"PYTHONPATH": str(SHARED)}
        return subprocess.run(
            command, input=json.dumps(rows), env=environment, capture_output=True, text=True, check=False
        )

    refused = ask()
    assert "the model is of a class that was not allowed: 'own_models:Nearest'" in refused.stderr
    assert 'allow=["own_models:Nearest"]' in refused.stderr
    answered = ask("own_models:Nearest")
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout) == open_predictor(tmp_path / "package").predict(rows)


def test_equal_states_have_equal_bytes_and_come_back_whole(model):
    files = save(model.estimator)
    again = load(files)
    np.testing.assert_array_equal(again.centres, model.estimator.centres)
    assert save(again) == files


@pytest.mark.parametrize(
    "name", ["subprocess:Popen", "own_models:Opaque", "own_models:np", "nowhere:Class", "os:system", ""]
)
def test_a_file_cannot_name_what_does_not_take_part(model, name):
    with pytest.raises(UnsafeModelError, match="not allowed"):
        load(forged(save(model.estimator), name))


def test_a_file_does_not_make_a_module_be_imported(model):
    assert "antigravity" not in sys.modules
    with pytest.raises(UnsafeModelError):
        load(forged(save(model.estimator), "antigravity:Class"))
    assert "antigravity" not in sys.modules


def test_what_was_allowed_is_so_in_the_block_only(model):
    files = forged(save(model.estimator), "own_models:Opaque")
    with allowing(["own_models:Opaque"]), pytest.raises(UnsafeModelError):  # allowed, and still no part of it
        load(files)


def test_a_state_that_is_not_plain_says_where(model):
    odd = Nearest({"deep": [object()]})
    with pytest.raises(ModelError, match=r"state\.centres\.deep\[0\] of the model is neither plain nor an array"):
        save(odd)


def test_a_class_inside_a_function_cannot_travel():
    class Local(Nearest):
        pass

    with pytest.raises(ModelError, match="cannot be found by its name"):
        save(Local(np.zeros(2)))


def test_an_object_that_cannot_give_its_state_says_which_ways_there_are():
    model = tm.train(lambda params: Opaque(), {}, made_up("regression"), baselines=False)
    with pytest.raises(UnsafeModelError, match=r"get_state\(\)"):
        tm.package(model)


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", write_zip({"state.json": b"[]"}), write_zip({})])
def test_bytes_of_another_kind_are_refused(data):
    with pytest.raises(UnsafeModelError):
        load({FILE: data})


@pytest.mark.parametrize("module", ["own", "members"])
def test_a_module_of_the_users_that_is_called_like_a_format_of_ours_is_none(module: str) -> None:
    kind = type("Mine", (), {"__module__": module, "fit": None, "predict": None})
    with pytest.raises(UnsafeModelError, match=r"needs get_state\(\)"):
        native_format(framework_name(kind()))
    gives = type("Mine", (kind,), {"__module__": module, "get_state": print, "from_state": print})
    assert framework_name(gives()) == "own"


def test_a_file_that_nests_without_end_is_refused():
    deep = b"[" * 100_000
    with pytest.raises(UnsafeModelError, match="not the state of a model"):
        load({FILE: write_zip({"state.json": deep})})
    with pytest.raises(UnsafeModelError, match=r"members\.json is missing or no list"):
        native_format("members").load({"members.json": deep})
