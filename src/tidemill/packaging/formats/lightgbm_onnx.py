"""LightGBM models as ONNX, by an own writer: thresholds, missing values and category sets decide as LightGBM does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.core.errors import ModelError
from tidemill.packaging.formats.lightgbm_text import FILE, booster_of, save
from tidemill.packaging.onnx_lightgbm import lightgbm_to_onnx


def to_onnx(estimator: Any, features: int) -> bytes:
    """The ONNX form of a booster that takes `features` columns."""
    return from_files(estimator, save(estimator), features)


def from_files(estimator: Any, files: Mapping[str, bytes], features: int) -> bytes:
    """The ONNX form of a booster whose text has been written."""
    trained = int(booster_of(estimator).num_feature())
    if trained != features:
        raise ModelError(
            f"the model takes {trained} features and its encoding makes {features}", hint="Train the model again."
        )
    return lightgbm_to_onnx(files[FILE].decode())
