"""A training with Keras that was killed must go on where it was, and give the very model that another one gives."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from killed import BEFORE, TRAIN, check_goes_on

pytest.importorskip("torch", reason="torch is not installed: make test-services does, where it can")
pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("keras") is None, reason="keras is not installed: make test-services does, where it can"
    ),
]

#: What a kill must not lose: momentum, a schedule, dropout's random numbers, averages of weights and of batches.
MODEL = """
from tidemill.integrations.keras_backend import keras

step = keras.Sequential.train_step


def train_step(self, *given):
    alive()
    return step(self, *given)


keras.Sequential.train_step = train_step


def build(params):
    layers = keras.layers
    hidden = [layers.Dense(8, activation="relu"), layers.Dropout(0.2)]
    return keras.Sequential([layers.BatchNormalization(momentum=0.9), *hidden, layers.Dense(1, activation="sigmoid")])
"""
COMPILED = (
    MODEL.replace("    return keras.Sequential(", "    model = keras.Sequential(")
    + """
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9, use_ema=True), loss="binary_crossentropy")
    return model
"""
)


@pytest.mark.parametrize("model", [MODEL, COMPILED])
def test_a_killed_training_goes_on_and_gives_the_same_digest(model, tmp_path):
    check_goes_on(tmp_path, BEFORE + model + TRAIN)
