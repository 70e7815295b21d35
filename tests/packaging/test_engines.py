"""The engine of a package: the same scores for a row alone, among others, and from many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest

from tidemill.packaging.engines import onnx_engine

ROWS = np.random.default_rng(7).normal(size=(400, 4)).astype(np.float32)


def _doubling(output: int = onnx.TensorProto.FLOAT) -> bytes:
    """A model that gives twice what it takes, as `output`."""
    rows = onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [None, 4])
    told = onnx.helper.make_tensor_value_info("output", output, [None, 4])
    nodes = [
        onnx.helper.make_node("Add", ["rows", "rows"], ["twice"]),
        onnx.helper.make_node("Cast", ["twice"], ["output"], to=output),
    ]
    graph = onnx.helper.make_graph(nodes, "twice", [rows], [told])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("output", [onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64])
def test_a_row_alone_gets_the_scores_that_it_gets_among_others(output: int) -> None:
    engine = onnx_engine(_doubling(output), "quantile")
    together = engine(ROWS)
    alone = np.concatenate([engine(ROWS[place : place + 1]) for place in range(len(ROWS))])
    assert alone.dtype == together.dtype
    assert np.array_equal(alone, together)


def test_the_scores_of_a_row_stay_when_the_next_row_is_scored() -> None:
    engine = onnx_engine(_doubling(), "quantile")
    engine(ROWS[:1])
    kept = engine(ROWS[1:2])
    engine(ROWS[2:3])
    assert np.array_equal(kept, ROWS[1:2] * 2)


def test_threads_that_score_at_once_do_not_get_each_others_scores() -> None:
    engine = onnx_engine(_doubling(), "quantile")

    def wrong(start: int) -> int:
        rows = [ROWS[place : place + 1] for place in range(start, len(ROWS), 8)] * 20
        return sum(not np.array_equal(engine(row), row * 2) for row in rows)

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(wrong, range(8))) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (1, 5)])
def test_a_row_of_another_width_is_refused_and_never_stretched(shape: Any) -> None:
    engine = onnx_engine(_doubling(), "quantile")
    engine(ROWS[:1])
    engine(ROWS[:1])
    with pytest.raises(Exception, match=r"(?i)invalid dimensions"):
        engine(np.zeros(shape, dtype=np.float32))
    assert np.array_equal(engine(ROWS[:1]), ROWS[:1] * 2)
