"""A Lightning module must be trained by Lightning, and be a model like any other afterwards."""

from __future__ import annotations

import pytest
from elsewhere import check_travels
from made_up import made_up
from pruned import check_pruned, searched

import tidemill as tm
from tidemill.core.errors import ModelError
from tidemill.data.operations import FillLearned

lightning = pytest.importorskip("lightning", reason="lightning is not installed: make test-services does, where it can")
torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.services, pytest.mark.slow]


#: Learning rates, the good ones first.
RATES = (0.1, 0.08, 0.12, 0.09, 0.1, 1e-5, 2e-5)


class Own(lightning.LightningModule):
    """Logistic regression, in Lightning's words."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate
        self.layers = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))

    def forward(self, rows):
        return self.layers(rows)

    def _loss(self, batch):
        rows, truth = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.layers(rows)[:, 0], truth)

    def training_step(self, batch, index):
        return self._loss(batch)

    def validation_step(self, batch, index):
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.rate)


def trained(epochs, **options):
    params = {"rate": 0.1, "epochs": epochs, "batch_size": 64}
    options = {"cleaning": [FillLearned("heat")], "baselines": False, **options}
    return tm.train(lambda params: Own(params["rate"]), params, made_up("binary"), **options)


def same(first, second):
    return all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))


def test_it_is_trained_by_its_own_steps_and_answers_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = trained(20)
    assert list(tmp_path.iterdir()) == []  # no lightning_logs
    assert (model.framework, model.metrics["roc_auc"] > 0.85) == ("torch", True)
    check_travels(model, made_up("binary").test, tmp_path, onnx=True)


def test_it_stops_without_gain_keeps_the_best_weights_and_repeats():
    long = trained(300, early_stopping=4)
    best = long.metadata["best_iteration"]
    assert best < 290
    assert same(long.estimator, trained(best).estimator)


def test_weights_of_rows_are_refused():
    from dataclasses import replace

    from tidemill.training.estimators import built, fit
    from tidemill.training.fitting import prepare

    fitting = prepare(made_up("binary"), cleaning=[FillLearned("heat")]).fitting
    net = built(lambda params: Own(0.1), {"epochs": 1}, seed=0, threads=1)
    with pytest.raises(ModelError, match="would not know the weights"):
        fit(net, replace(fitting, weights=fitting.truth))


def test_each_epoch_is_reported_to_a_pruner_which_ends_hopeless_trials():
    def build(params):
        return Own(params["learning_rate"])

    params = {"epochs": 6, "batch_size": 64}
    study = searched(build, params, made_up("binary"), RATES, cleaning=[FillLearned("heat")])
    check_pruned(study, rounds=6)
    assert all(value < 0 for _, value in study.trials[0].reported)  # a loss, in a study for which more is better
