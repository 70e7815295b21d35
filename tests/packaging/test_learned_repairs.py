"""A repair that the server replays otherwise than training did gives answers of another model."""

from __future__ import annotations

import numpy as np
import pytest

import tidemill as tm
from tidemill.data.operations import EncodeOneHot, EncodeOrdinal, EncodeTarget, FillModelled, Winsorise
from tidemill.serving.predictor import Predictor


@pytest.mark.parametrize("encode", [EncodeOneHot("carrier", 3), EncodeTarget("carrier"), EncodeOrdinal("carrier")])
def test_a_served_row_is_repaired_as_a_table_is(table, encode):
    from sample_models import build

    repairs = [Winsorise("distance"), FillModelled("temp", ("distance", "carrier"), indicator=True), encode]
    data = tm.split(table, tm.by_share(stratify="late"), "late")
    model = tm.train(build, {"n_estimators": 10}, data, name="delay", cleaning=repairs, baselines=False)
    predictor = Predictor(tm.package(model, data.validation))
    rows = data.test.select(data.spec.features).head(40).to_dicts()
    one_by_one = [predictor.predict(row)["probability"] for row in rows]
    assert [answer["probability"] for answer in predictor.predict(rows)] == pytest.approx(one_by_one, abs=1e-6)
    together = np.asarray(tm.predict(model, data.test.head(40)))
    assert together.reshape(-1)[:40] == pytest.approx(one_by_one, abs=1e-5)
