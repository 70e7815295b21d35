"""Which digit is written there? With PyTorch: a small convolutional network, trained by Tidemill's loop.

$ pip install "tidemill[ml,torch]"
$ tidemill run train                  # tune, train, evaluate, test, package, register, promote
$ tidemill models show digits@champion
$ tidemill reproduce digits@champion  # again from the record, each step compared
$ tidemill serve digits               # ONNX Runtime: needs no PyTorch
"""

from __future__ import annotations

from typing import Any

import polars as pl
from torch import nn

import tidemill as tm
from tidemill.data.operations import FillLearned

SIDE = 8
PIXELS = [f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE)]


@tm.step
def named(digits: pl.LazyFrame) -> pl.DataFrame:
    """The images with names for their pixels, from 0 (paper) to 1 (ink)."""
    table = digits.rename(dict(zip([f"column_{at + 1}" for at in range(65)], [*PIXELS, "digit"], strict=True)))
    return table.with_columns(pl.col(PIXELS) / 16).collect()


def build(params: dict[str, Any]) -> nn.Module:
    """Two layers of filters; lazy layers get their width from the rows."""
    filters = params["filters"]
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        nn.Conv2d(1, filters, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(filters, 2 * filters, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(params["dropout"]),
        nn.LazyLinear(10),
    )


SPACE = {
    "filters": tm.choice([8, 16]),
    "dropout": tm.uniform(0.0, 0.5),
    "learning_rate": tm.uniform(0.001, 0.01, log=True),
    "epochs": 25,
    "batch_size": 64,
}
#: A network takes no missing values: a pixel that was not read is as usual.
REPAIRS = [FillLearned(pixel) for pixel in PIXELS]


@tm.model_test
def an_empty_field_is_no_digit(model: tm.Model, table: pl.DataFrame) -> bool:
    """Where nothing is written, no digit is nearly certain."""
    empty = table.head(1).with_columns(pl.lit(0.0).alias(pixel) for pixel in PIXELS)
    return bool(tm.predict(model, empty).max() < 0.9)


@tm.pipeline
def train(trials: int = 4) -> tm.ModelVersion:
    """From the images to a champion that passed the gate."""
    images = named(tm.read("digits"))
    data = tm.split(images, tm.by_share(0.6, 0.2, stratify="digit"), "digit")

    study = tm.tune(build, SPACE, data, metric="log_loss", trials=trials, cleaning=REPAIRS)
    model = tm.train(build, study.best, data, name="digits", cleaning=REPAIRS)
    evaluation = tm.evaluate(model, data.validation)
    examination = tm.test(model, data.test)

    package = tm.package(model, data.validation)
    version = tm.register(package, evaluation, examination, package)
    tm.promote(version)
    return version
