"""A PyTorch module must train the same twice, stop where it is best, say what is wrong, and answer without its code."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from elsewhere import check_travels
from made_up import made_up
from pruned import check_pruned, searched

import tidemill as tm
from tidemill.core.errors import ModelError, UnsafeModelError, UsageError
from tidemill.data.operations import FillLearned
from tidemill.store import open_store
from tidemill.training.checkpoints import Checkpoint
from tidemill.training.estimators import built
from tidemill.training.preparing import prepare
from tidemill.training.tuning.outcomes import Pruned, Reports

torch = pytest.importorskip("torch", reason="torch is not installed: make test-services does, where it can")
pytestmark = [pytest.mark.services, pytest.mark.slow]

FILL = [FillLearned("heat")]
FAST = {"epochs": 8, "learning_rate": 0.02}


#: Learning rates, the good ones first.
RATES = (0.1, 0.08, 0.12, 0.09, 0.1, 1e-5, 2e-5)


def sequence(params):
    nn = torch.nn
    layers = [nn.LazyBatchNorm1d(), nn.LazyLinear(params.get("hidden", 16)), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.LazyLinear(params.get("outputs", 1)))


def trained(params=FAST, kind="binary", build=sequence, **options):
    options = {"cleaning": FILL, "baselines": False, **options}
    return tm.train(build, params, made_up(kind), **options)


def same(first, second):
    return all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(("kind", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_it_answers_the_same_in_a_process_without_the_training_code(kind, outputs, tmp_path):
    model = trained({**FAST, "epochs": 30, "outputs": outputs}, kind)
    assert model.framework == "torch"
    quality = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2"}[kind]
    assert model.metrics[quality] > 0.75
    packaged = check_travels(model, made_up(kind).test, tmp_path, onnx=True)
    assert set(packaged.files) == {"model.graph.json", "model.safetensors", "model.onnx"}


def test_the_same_seed_gives_the_same_weights_and_leaves_everybody_elses_numbers_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    first, second, other = trained(seed=1), trained(seed=1), trained(seed=2)
    assert same(first.estimator, second.estimator)
    assert not same(first.estimator, other.estimator)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(3) == expected[1]).all()
    assert not torch.are_deterministic_algorithms_enabled()


def test_it_stops_when_validation_rows_gain_nothing_and_keeps_the_best_weights():
    data = made_up("binary", 200)
    long = tm.train(
        sequence, {"epochs": 400, "learning_rate": 0.05}, data, cleaning=FILL, baselines=False, early_stopping=5
    )
    best = long.metadata["best_iteration"]
    assert best < 395
    until = tm.train(sequence, {"epochs": best, "learning_rate": 0.05}, data, cleaning=FILL, baselines=False)
    assert same(long.estimator, until.estimator)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_each_optimizer_learns_with_a_schedule_and_clipped_gradients(optimizer):
    params = {"epochs": 40, "optimizer": optimizer, "learning_rate": 0.02, "schedule": "cosine", "gradient_clip": 1.0}
    assert trained(params).metrics["roc_auc"] > 0.85


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_values_far_from_zero_are_learnt_in_their_own_units(loss):
    assert trained({"epochs": 60, "learning_rate": 0.02, "loss": loss}, "regression").metrics["r2"] > 0.8


def test_a_module_with_its_own_step_is_trained_by_it():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))

        def forward(self, rows):
            return self.layer(rows)

        def training_step(self, batch):
            rows, truth = batch
            return (self.layer(rows)[:, 0] - truth - 3).square().mean()

    model = trained({"epochs": 60, "learning_rate": 2.0}, "regression", lambda params: Own())
    data = made_up("regression")
    assert np.mean(tm.predict(model, data.train)) - data.train["y"].mean() > 2


def test_rows_that_weigh_nothing_teach_nothing():
    from tidemill.training.estimators import built, fit
    from tidemill.training.fitting import prepare

    fitting = prepare(made_up("binary"), cleaning=FILL).fitting
    count = len(fitting.truth)
    weights = np.where(fitting.truth > 0, 1.0, 0.0)
    weighted = replace(fitting, weights=weights, early_stopping=0)
    net = fit(built(sequence, {**FAST, "epochs": 40}, seed=0, threads=1), weighted)
    with torch.no_grad():
        assert net(torch.from_numpy(fitting.matrix)).mean() > 0.9
    assert count > weights.sum()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"lerning_rate": 0.1}, "Did you mean 'learning_rate'"),
        ({"lr": 0.1}, "Did you mean 'learning_rate'"),
        ({"optimizer": "adamm"}, "adam, adamw, sgd"),
        ({"epochs": 2.5}, "whole number"),
        ({"batch_size": 0}, "above zero"),
        ({"gradient_clip": -1}, "or None"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(params, words):
    with pytest.raises(UsageError, match=words):
        trained(params)


def wrong(module):
    return lambda params: module


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda params: torch.nn.Linear(4, 3), "needs 1 number a row"),
        (lambda params: torch.nn.Linear(9, 1), r"does not take rows of 4 float32 numbers"),
        (lambda params: torch.nn.Linear(4, 1).double(), "keep its weights in float32"),
        (lambda params: torch.nn.Flatten(), "needs 1 number a row"),
        (lambda params: torch.nn.Linear(4, 1).requires_grad_(False), "no weights that can be learnt"),
        (lambda params: torch.nn.LSTM(4, 1), "gives a tuple instead of a tensor"),
    ],
    ids=["three outputs", "nine inputs", "float64", "no layer", "frozen", "a tuple"],
)
def test_a_module_of_another_shape_is_refused_before_it_is_trained(build, words):
    with pytest.raises(ModelError, match=words):
        trained(build=build)


def test_missing_and_infinite_values_name_their_columns():
    with pytest.raises(ModelError, match=r"does not take missing values: \['heat'\].*FillLearned"):
        trained(cleaning=())
    data = made_up("binary", holes=0)
    import polars as pl

    huge = data.train.with_columns(wind=pl.col("wind") * 1e39)
    with pytest.raises(ModelError, match=r"does not take infinite values: \['wind'\]"):
        tm.train(sequence, FAST, replace(data, train=huge), baselines=False)


def test_a_row_with_a_hole_is_not_answered_and_says_why():
    model, table = trained(), made_up("binary").test
    with pytest.raises(ModelError, match=r"all with missing values\. Fill them"):
        tm.predict(replace(model, cleaning=()), table)


def test_a_loss_that_is_no_number_says_when_and_of_what():
    with pytest.raises(
        ModelError, match=r"the loss was (nan|inf) in epoch \d+ at learning rate 1e\+20; the inputs are finite"
    ):
        trained({"epochs": 50, "learning_rate": 1e20, "optimizer": "sgd"}, "regression")


def test_a_full_device_is_tried_again_with_fewer_rows_and_says_so():
    def filled(limit):
        def hook(module, inputs):
            if module.training and len(inputs[0]) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

        def build(params):
            module = torch.nn.Linear(4, 1)
            module.register_forward_pre_hook(hook)
            return module

        return build

    plain = trained({**FAST, "batch_size": 64}, build=lambda params: torch.nn.Linear(4, 1))
    with pytest.warns(UserWarning, match="training starts again with 64 rows at a time"):
        smaller = trained({**FAST, "batch_size": 128}, build=filled(100))
    assert same(plain.estimator, smaller.estimator)
    with pytest.warns(UserWarning, match="is full"), pytest.raises(ModelError, match="full with one row at a time"):
        trained(build=filled(0))


def test_an_unknown_device_is_refused():
    with pytest.raises(ModelError, match="there is no device 'warp'"):
        trained({**FAST, "device": "warp"})


def test_a_module_that_decides_by_its_values_cannot_be_packaged_and_says_how_it_could():
    class Deciding(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, rows):
            output = self.layer(rows)
            return output * 2 if float(output.detach().sum()) > 0 else output

    model = trained(build=lambda params: Deciding())
    with pytest.raises(ModelError, match=r"torch\.export cannot write the module down.*torch\.where"):
        tm.package(model)


@pytest.fixture(scope="module")
def files():
    from tidemill.integrations.torch_graph import save

    return save(trained().estimator)


@pytest.mark.parametrize(
    "call", ["os.system", "aten.from_file.default", "aten.save.default", "prim.Print", "aten.add", "__class__", "eval"]
)
def test_a_graph_that_names_anything_but_a_core_operator_is_refused(files, call):
    from tidemill.integrations.torch_graph import GRAPH, load

    outline = json.loads(files[GRAPH])
    outline["nodes"][0]["call"] = call
    with pytest.raises(UnsafeModelError, match="core operators"):
        load({**files, GRAPH: json.dumps(outline).encode()})


def test_a_graph_of_broken_bytes_or_strange_files_is_refused(files):
    from tidemill.integrations.torch_graph import GRAPH, WEIGHTS, load

    for broken in ({GRAPH: b"\x80\x04."}, {GRAPH: b"[]"}, {WEIGHTS: b"\x80\x04."}, {WEIGHTS: b""}, {"model.pt": b""}):
        with pytest.raises(UnsafeModelError):
            load({**files, **broken})


def test_what_was_read_is_written_with_the_same_bytes(files):
    from tidemill.integrations.torch_graph import load, save

    assert save(load(files)) == files


def test_what_is_measured_in_each_epoch_is_on_the_run(tmp_path):
    from tidemill.engine.context import StepContext, use_context

    step = StepContext("run", "execution", "fit", "fit", 1, "p", "train")
    with use_context(step):
        trained({**FAST, "epochs": 4})
    losses = [(note["context"], note["step"]) for kind, note in step.logged if note["name"] == "loss"]
    assert losses == [(part, epoch) for epoch in range(1, 5) for part in ("training", "validation")]


def test_each_epoch_is_reported_to_a_pruner_which_ends_hopeless_trials():
    study = searched(sequence, {"epochs": 8}, made_up("binary"), RATES, cleaning=FILL)
    check_pruned(study, rounds=8)
    assert all(value < 0 for _, value in study.trials[0].reported)  # a loss, in a study for which more is better


def test_a_training_that_goes_on_reports_the_epochs_before_as_well(tmp_path, monkeypatch):
    from tidemill.integrations import torch as ours

    fitting = prepare(made_up("binary"), cleaning=FILL).fitting

    def reported(judge):
        reports = Reports(greater_is_better=False, judge=judge)
        params = {"epochs": 6, "checkpoint_seconds": 0.0}
        ours.fit(built(sequence, params, seed=0, threads=1), replace(fitting, report=reports))
        return reports.reported

    whole = reported(lambda value, step: False)
    assert list(whole) == list(range(6))
    made = []
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store:
        monkeypatch.setattr(ours, "checkpoint_of", lambda name: made.append(Checkpoint(store, "key", name)) or made[-1])
        with pytest.raises(Pruned, match="worse than others at step 2"):
            reported(lambda value, step: step == 2)
        assert reported(lambda value, step: False) == whole
    assert [checkpoint.saved for checkpoint in made] == [3, 3]
