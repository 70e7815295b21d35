"""A column of decisions that differs from the decision of each row would be a second truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flat_answers import flat_answers, told_answers
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.model import Signature
from tidemill.core.schema import TableSchema
from tidemill.serving.decisions import _PARTS, compile_decision
from tidemill.serving.scoring.answers import answer_columns, answer_of, decide_columns, told_columns

NONE = TableSchema(())
SIGNATURES = {
    "regression": Signature(NONE, "regression", "delay"),
    "interval": Signature(NONE, "regression", "delay", interval=(0.9, 4.0)),
    "binary": Signature(NONE, "binary", "late", ("false", "true"), threshold=0.4),
    "words": Signature(NONE, "binary", "late", ("no", "yes"), threshold=0.4),
    "referred": Signature(NONE, "binary", "late", ("false", "true"), referred=(0.3, 0.6)),
    "own name": Signature(NONE, "binary", "decision", ("false", "true")),
    "multiclass": Signature(NONE, "multiclass", "gate", ("A", "B", "a")),
    "multilabel": Signature(NONE, "multilabel", "tags", ("late", "warm", "é; …")),
    "quantile": Signature(NONE, "quantile", "delay", ("0.1", "0.5", "0.9")),
    "anomaly": Signature(NONE, "anomaly", "strange", threshold=0.2),
}
#: As engines give them: float32, with ties and values on the threshold.
SCORE = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@pytest.mark.parametrize("target", ["", *sorted(_PARTS)])
@pytest.mark.parametrize("name", SIGNATURES)
@given(data=st.data())
@settings(max_examples=20)
def test_columns_decide_what_rows_decide(name: str, target: str, data: st.DataObject) -> None:
    """Also where the answer is called like a part of answers."""
    signature = replace(SIGNATURES[name], target=target or SIGNATURES[name].target)
    wide = 3 if name in ("multiclass", "multilabel", "quantile") else 0
    one = st.lists(SCORE, min_size=wide, max_size=wide) if wide else SCORE
    given_scores = data.draw(st.lists(one, min_size=1, max_size=8))
    scores = np.array(given_scores, dtype=np.float32)
    decide = compile_decision(signature)
    told = [decide(score) for score in scores.tolist()]
    table = decide_columns(signature, scores)
    assert table.equals(flat_answers(signature, told))
    assert dict(table.schema) == answer_columns(signature)
    assert told_columns(signature, scores).equals(told_answers(told))
    assert [answer_of(signature, row) for row in table.to_dicts()] == told


def test_no_row_gives_an_empty_table_of_the_same_columns() -> None:
    for signature in SIGNATURES.values():
        table = decide_columns(signature, np.empty(0))
        assert dict(table.schema) == answer_columns(signature)
        assert table.height == 0


def test_a_target_that_is_called_like_a_part_keeps_its_column() -> None:
    names = list(answer_columns(replace(SIGNATURES["regression"], target="warnings")))
    assert names == ["prediction", "warnings", "error"]


def test_a_refused_row_says_why_in_one_line_and_has_no_answer() -> None:
    problem = {"row": 3, "column": "x", "value": "'far'", "error": "column 'x' takes a number", "allowed": "float64"}
    (row,) = flat_answers(SIGNATURES["binary"], [{"error": problem}]).to_dicts()
    assert row["error"] == "column 'x' takes a number (got 'far'; allowed: float64)"
    assert row["prediction"] is row["probability"] is row["decision"] is None
