"""A process that serves: it has a model's folder and the rows, and none of the code that trained it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tidemill as tm

PROGRAM = """
import json, sys
import numpy as np
from tidemill.packaging.engines import open_engine
from tidemill.packaging.package import open_folder
from tidemill.serving.predictor import open_predictor

folder, matrix = sys.argv[1], np.load(sys.argv[2])
package = open_folder(folder)
engines = {name: open_engine(package, name) for name in json.loads(sys.argv[3])}
answers = {name: np.asarray(engine(matrix), dtype=float).tolist() for name, engine in engines.items()}
served = open_predictor(folder).predict(json.load(sys.stdin))
print(json.dumps({**answers, "served": served}))
"""


def answers_elsewhere(model: tm.Model, packaged: tm.Package, table: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """What another process answers for a table: scores of each engine of a package, and what it would send."""
    from tidemill.training.prediction import encoded

    packaged.write(folder / "package")
    np.save(folder / "rows.npy", encoded(model, table))
    engines = json.dumps([name for name in ("native", "onnx") if name in packaged.manifest["measured"]])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder / "package", folder / "rows.npy", engines],
        input=json.dumps(table.select(model.signature.inputs.names).to_dicts()),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_travels(model: tm.Model, table: pl.DataFrame, folder: Path, *, onnx: bool) -> tm.Package:
    """Package a model, and let another process answer as this one does, in each engine and over the wire."""
    packaged = tm.package(model, table)
    assert packaged.manifest["parity"]["verified"] is onnx, packaged.manifest["parity"]
    expected = tm.predict(model, table)
    found = answers_elsewhere(model, packaged, table, folder)
    np.testing.assert_allclose(found["native"], expected, rtol=1e-6, atol=1e-7)
    if onnx:
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(np.asarray(found["onnx"]) / scale, expected / scale, atol=1e-5)
    assert len(found["served"]) == table.height
    assert all(model.signature.target in answer for answer in found["served"]), found["served"][:3]
    return packaged
