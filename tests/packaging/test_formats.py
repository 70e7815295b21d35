"""Models travel between machines as files: reading one must never run what a stranger put into it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
import zlib
from typing import Any

import numpy as np
import onnx
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tidemill.core.errors import UnsafeModelError
from tidemill.packaging.engines import onnx_engine
from tidemill.packaging.formats import native_format
from tidemill.packaging.formats.sklearn_skops import FILE
from tidemill.packaging.zips import read_zip, write_zip

DRAW = np.random.default_rng(0)
MATRIX = DRAW.normal(size=(300, 4)).astype(np.float32)
LABELS = (MATRIX[:, 0] > 0).astype(int)
SKLEARN = native_format("sklearn")

ESTIMATORS = [
    LogisticRegression(),
    RandomForestClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    HistGradientBoostingRegressor(max_iter=3, random_state=0),
    make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
]


def payload(text: str) -> str:
    return f"ran {text}"


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_an_estimator_comes_back_and_has_the_same_bytes_again(estimator: Any) -> None:
    estimator.fit(MATRIX, LABELS)
    files = SKLEARN.save(estimator)
    again = SKLEARN.load(files)
    assert (again.predict(MATRIX) == estimator.predict(MATRIX)).all()
    assert SKLEARN.save(again) == files


def test_two_processes_write_the_same_bytes_for_the_same_forest() -> None:
    program = """
import hashlib, numpy as np
from sklearn.ensemble import RandomForestClassifier
from tidemill.packaging.formats import native_format
draw = np.random.default_rng(0)
matrix = draw.normal(size=(300, 4)).astype(np.float32)
files = native_format("sklearn").save(RandomForestClassifier(5, random_state=0).fit(matrix, matrix[:, 0] > 0))
print(hashlib.sha256(files["model.skops"]).hexdigest())
"""
    digests = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in "12"}
    assert len(digests) == 1


def test_an_estimator_that_calls_a_strange_function_is_refused_when_it_is_saved() -> None:
    estimator = make_pipeline(FunctionTransformer(payload), LogisticRegression())
    with pytest.raises(UnsafeModelError, match="payload"):
        SKLEARN.save(estimator)


def test_a_file_that_names_a_strange_type_is_refused_before_anything_is_built() -> None:
    members = read_zip(skops.io.dumps(LogisticRegression().fit(MATRIX, LABELS)))
    schema = json.loads(members["schema.json"])
    schema["__class__"], schema["__module__"] = "Popen", "subprocess"
    forged = write_zip({**members, "schema.json": json.dumps(schema).encode()})
    with pytest.raises(UnsafeModelError, match=r"subprocess\.Popen"):
        SKLEARN.load({FILE: forged})


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"PK\x03\x04 broken"])
def test_bytes_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(UnsafeModelError):
        SKLEARN.load({FILE: data})
    with pytest.raises(UnsafeModelError):
        native_format("lightgbm").load({"model.lightgbm.txt": data})


def test_an_unknown_framework_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnsafeModelError, match=r"catboost, keras, lightgbm, .*xgboost"):
        native_format("pickle")


def test_an_archive_cannot_write_outside_its_folder() -> None:
    with pytest.raises(UnsafeModelError, match="leaves its folder"):
        read_zip(write_zip({"../evil": b"x"}))


@pytest.mark.parametrize("level", [1, 6])
def test_an_archive_is_packed_at_the_level_that_is_asked_for(level: int) -> None:
    text = b"".join(b"threshold=%f\n" % number for number in DRAW.normal(size=5_000))
    with zipfile.ZipFile(io.BytesIO(write_zip({"a": text}, level=level))) as archive:
        packed = archive.getinfo("a").compress_size
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    assert packed == len(deflate.compress(text) + deflate.flush())
    assert read_zip(write_zip({"a": text}, level=level)) == {"a": text}


def _renamed(model: Any) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"


def _doubled(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def _unanswering(model: Any) -> None:
    model.graph.output[0].name = model.graph.node[0].output[0] = "x"


@pytest.mark.parametrize("change", [_renamed, _doubled, _unanswering])
def test_an_onnx_file_that_takes_or_gives_something_else_is_refused_before_the_first_request(change: Any) -> None:
    rows = onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [None, 4])
    output = onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [None, 4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["rows"], ["output"])], "none", [rows], [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    assert onnx_engine(model.SerializeToString(), "quantile")(MATRIX).shape == MATRIX.shape
    change(model)
    if change is _doubled:
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    with pytest.raises(UnsafeModelError, match=r"takes .* and gives"):
        onnx_engine(model.SerializeToString(), "quantile")
