"""A Keras model must train the same twice, be kept without anybody's code, and answer the same elsewhere."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from elsewhere import check_travels
from made_up import made_up
from pruned import check_pruned, searched

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError, UsageError
from tidemill.data.operations import FillLearned
from tidemill.packaging.zips import read_zip, write_zip

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("keras") is None, reason="keras is not installed: make test-services does, where it can"
    ),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of Keras's own NumPy
]

FAST = {"epochs": 25, "batch_size": 64, "learning_rate": 0.02}


#: Learning rates, the good ones first.
RATES = (0.1, 0.08, 0.12, 0.09, 0.1, 1e-5, 2e-5)


def sequence(params):
    from tidemill.integrations.keras_backend import keras

    layers = keras.layers
    last = layers.Dense(params.get("outputs", 1), activation=params.get("activation", "sigmoid"))
    hidden = layers.Dense(16, activation="relu")
    return keras.Sequential([layers.BatchNormalization(momentum=0.9), hidden, layers.Dropout(0.1), last])


def trained(params=FAST, kind="binary", build=sequence, **options):
    return tm.train(build, params, made_up(kind), cleaning=[FillLearned("heat")], baselines=False, **options)


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def files(model):
    from tidemill.integrations.keras_file import save

    return save(model.estimator)


def test_it_answers_the_same_in_a_process_without_the_training_code(model, tmp_path):
    assert (model.framework, model.metrics["roc_auc"] > 0.85) == ("keras", True)
    packaged = check_travels(model, made_up("binary").test, tmp_path, onnx=True)
    assert set(packaged.files) == {"model.keras", "model.onnx"}


def test_the_same_seed_gives_the_same_file_however_many_models_were_made_before(files):
    from tidemill.integrations.keras_file import load, save

    assert save(trained().estimator) == files
    assert save(load(files)) == files
    assert save(trained(seed=1).estimator) != files


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: make test-services does, where it can")
def test_it_trains_on_as_many_threads_as_were_allowed_and_gives_the_others_back():
    import torch

    from tidemill.integrations.keras_backend import keras

    if keras.backend.backend() != "torch":
        pytest.skip(f"{keras.backend.backend()} takes no threads for a block")
    seen = []

    class Watched(keras.Sequential):
        def fit(self, *given, **options):
            seen.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
            return super().fit(*given, **options)

    before = torch.get_num_threads()
    for threads in (1, 3):
        trained({**FAST, "epochs": 1}, build=lambda params: Watched(sequence(params).layers), threads=threads)
    assert seen == [(1, True), (3, True)]
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (before, False)


def test_what_was_read_still_has_its_onnx_form(model, files):
    from tidemill.integrations.keras_file import load
    from tidemill.integrations.keras_onnx import to_onnx
    from tidemill.packaging.engines import onnx_engine
    from tidemill.training.prediction import encoded

    table = made_up("binary").test
    found = onnx_engine(to_onnx(load(files), 4), "binary")(encoded(model, table))
    np.testing.assert_allclose(found, tm.predict(model, table), atol=1e-5)


def test_many_classes():
    assert trained({**FAST, "outputs": 3, "activation": "softmax"}, "multiclass").metrics["accuracy"] > 0.6


def test_a_model_that_build_compiled_is_trained_so():
    def compiled(params):
        model = sequence({"activation": None})
        from tidemill.integrations.keras_backend import keras

        model.compile(keras.optimizers.Adam(3.0), loss=lambda truth, answer: (truth - answer + 1000.0) ** 2)
        return model

    model = trained({"epochs": 20}, "regression", compiled)
    assert tm.predict(model, made_up("regression").test).mean() > 150  # truth is about 100; this loss wants more


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"outputs": 3}, "needs .None, 1."),
        ({**FAST, "activation": None, "epochs": 3}, "not with probabilities"),
    ],
)
def test_an_output_of_another_shape_or_range_is_refused(params, words):
    with pytest.raises(ModelError, match=words):
        trained(params)


def test_a_loss_that_is_no_number_says_when():
    with pytest.raises(ModelError, match=r"the loss was (nan|inf) in epoch \d+ at learning rate 1e\+30"):
        trained({"activation": None, "epochs": 9, "learning_rate": 1e30, "optimizer": "sgd"}, "regression")


def test_what_the_loop_does_not_read_is_refused():
    with pytest.raises(UsageError, match="neither build nor the training loop reads"):
        trained({"schedule": "cosine"})


def test_a_model_that_runs_code_or_is_of_ones_own_class_cannot_be_packaged():
    from tidemill.integrations.keras_backend import keras
    from tidemill.integrations.keras_file import save

    class Twice(keras.layers.Layer):
        def call(self, rows):
            return rows * 2

    for layer in (keras.layers.Lambda(lambda rows: rows * 2), Twice()):
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
        with pytest.raises(ModelError, match="runs code"):
            save(model)


def forged(files, config=None, **members):
    held = read_zip(files["model.keras"])
    if config is not None:
        members["config.json"] = json.dumps(config).encode()
    return {"model.keras": write_zip({**held, **members})}


def test_a_file_that_names_anything_but_layers_of_keras_is_refused(files):
    from tidemill.integrations.keras_file import load

    config = json.loads(read_zip(files["model.keras"])["config.json"])
    layers = config["config"]["layers"]
    for module, name in (
        ("os", "system"),
        ("keras.layers", "Lambda"),
        ("keras.layers", "TorchModuleWrapper"),
        (None, "X"),
    ):
        changed = {
            **config,
            "config": {**config["config"], "layers": [*layers, {"module": module, "class_name": name}]},
        }
        with pytest.raises(UnsafeModelError, match="not a layer of Keras, or runs code"):
            load(forged(files, changed))


def test_weights_that_point_to_another_file_are_refused(files, tmp_path):
    import io

    import h5py

    from tidemill.integrations.keras_file import load

    (tmp_path / "secret.h5").write_bytes(b"")
    out = io.BytesIO(read_zip(files["model.keras"])["model.weights.h5"])
    with h5py.File(out, "r+") as file:
        file["layers/stolen"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")
    with pytest.raises(UnsafeModelError, match=r"point to another file|cannot read"):
        load(forged(files, **{"model.weights.h5": out.getvalue()}))


def test_weights_that_were_bitten_are_refused_or_read(files):
    from tidemill.integrations.keras_file import load

    whole, refused = read_zip(files["model.keras"])["model.weights.h5"], 0
    for seed in range(60):
        draw, weights = np.random.default_rng(seed), bytearray(whole)
        for _ in range(6):
            weights[draw.integers(len(weights))] = draw.choice([0, 255, 127])
        try:
            load(forged(files, **{"model.weights.h5": bytes(weights)}))
        except UnsafeModelError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", write_zip({}), write_zip({"config.json": b"{}", "x": b""})])
def test_bytes_of_another_kind_are_refused(data):
    from tidemill.integrations.keras_file import load

    with pytest.raises(UnsafeModelError):
        load({"model.keras": data})


def test_missing_values_name_their_columns():
    with pytest.raises(ModelError, match=r"does not take missing values: \['heat'\]"):
        tm.train(sequence, FAST, made_up("binary"), baselines=False)


def test_rows_that_weigh_nothing_teach_nothing():
    from dataclasses import replace

    from tidemill.training.estimators import built, fit
    from tidemill.training.fitting import prepare

    fitting = prepare(made_up("binary"), cleaning=[FillLearned("heat")]).fitting
    weighted = replace(fitting, weights=np.where(fitting.truth > 0, 1.0, 0.0), early_stopping=0)
    model = fit(built(sequence, FAST, seed=0, threads=1), weighted)
    assert np.asarray(model.predict(fitting.matrix, verbose=0)).mean() > 0.8


def test_each_epoch_is_reported_to_a_pruner_which_ends_hopeless_trials():
    params = {"epochs": 6, "batch_size": 64}
    study = searched(sequence, params, made_up("binary"), RATES, cleaning=[FillLearned("heat")])
    check_pruned(study, rounds=6)
    assert all(value < 0 for _, value in study.trials[0].reported)  # a loss, in a study for which more is better
