"""Repairs that learn from rows: fitted on training rows, stored in the model as plain data, replayed everywhere alike.

A fitted repair is a JSON-able mapping::

    {"kind": "fill", "column": "seats", "value": 149.0, "indicator": "seats__missing"}  # indicator may be None
    {"kind": "merge", "column": "maker", "keep": ["BOEING", "AIRBUS"], "other": "other"}
    {"kind": "clip", "column": "delay", "minimum": -40.0, "maximum": 360.0}
    {
        "kind": "group",
        "column": "seats",
        "by": ["maker"],
        "groups": {"BOEING": 160.0},
        "value": 149.0,
        "indicator": None,
    }
    {"kind": "scale", "column": "delay", "middle": 6.9, "width": 44.6}
    {"kind": "bin", "column": "delay", "edges": [-5.0, 14.0]}
    {"kind": "onehot", "column": "maker", "columns": {"maker__is__BOEING": "BOEING"}}
    {"kind": "ordinal", "column": "size", "codes": {"S": 0.0, "M": 1.0}, "unseen": -1.0}
    {"kind": "target", "column": "maker", "means": {"BOEING": 0.31}, "value": 0.22}
    {"kind": "model", "column": "seats", "terms": [...], "outputs": [...], "indicator": None}
    {"kind": "derive", "column": "mph", "by": ["miles", "hours"], "type": "float64", "program": [...]}

Replaying needs NumPy only.
"""

from tidemill.data.repairs.columns import apply_repairs
from tidemill.data.repairs.fitting import Learnt, fit_repairs, learn_repairs
from tidemill.data.repairs.inputs import added_columns, repaired_schema
from tidemill.data.repairs.rows import compile_repairs
from tidemill.data.repairs.values import columns_needed

__all__ = [
    "Learnt",
    "added_columns",
    "apply_repairs",
    "columns_needed",
    "compile_repairs",
    "fit_repairs",
    "learn_repairs",
    "repaired_schema",
]
