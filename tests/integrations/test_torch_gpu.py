"""What a graphics card trained must answer without one; a full card must cost rows at a time, not the training.

Needs a CUDA device: `make test-gpu`, on a machine that has one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from elsewhere import check_travels
from made_up import made_up

import tidemill as tm
from tidemill.core.errors import ModelError
from tidemill.data.operations import FillLearned

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = [pytest.mark.gpu, pytest.mark.slow]

MEBIBYTE = 1 << 20
ALLOCATED = "allocation.all.allocated"
FILL = [FillLearned("heat")]


@pytest.fixture(autouse=True)
def card() -> Iterator[None]:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here: make test-gpu is for machines that have one")
    yield
    torch.cuda.empty_cache()


def small(params):
    nn = torch.nn
    return nn.Sequential(
        nn.LazyBatchNorm1d(), nn.LazyLinear(16), nn.ReLU(), nn.Dropout(0.1), nn.LazyLinear(params.get("outputs", 1))
    )


def wide(params):
    """64 kB for each row that is learnt from, several times over."""
    return torch.nn.Sequential(torch.nn.LazyLinear(16_384), torch.nn.ReLU(), torch.nn.LazyLinear(1))


def very_wide(params):
    """Its weights alone are more than the card has left."""
    return torch.nn.Sequential(
        torch.nn.LazyLinear(4096), torch.nn.ReLU(), torch.nn.Linear(4096, 4096), torch.nn.LazyLinear(1)
    )


def of_numbers(rows=100_000):
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(rows, 4)).astype(np.float32)
    truth = matrix[:, 0] + matrix[:, 1] + draw.normal(size=rows) > 0
    table = pl.DataFrame({**{f"x{index}": matrix[:, index] for index in range(4)}, "y": truth})
    return tm.split(table, tm.by_share(0.6, 0.2, seed=3), "y")


def filled(leave):
    """What takes all memory of the card but for so many bytes, as another process on it would."""
    torch.cuda.empty_cache()
    held, piece = [], 1 << 30
    while piece >= MEBIBYTE:
        free, _ = torch.cuda.mem_get_info()
        try:
            held.append(torch.empty(min(piece, max(0, free - leave)) or 1, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            piece //= 2
        else:
            piece = piece if free - leave > piece else piece // 2
    return held


def same(first, second):
    pairs = list(zip(first.state_dict().items(), second.state_dict().items(), strict=True))
    return bool(pairs) and all(torch.equal(one, two) for (_, one), (_, two) in pairs)


@pytest.mark.parametrize(("kind", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_what_was_trained_on_the_card_answers_the_same_where_there_is_none(kind, outputs, tmp_path, monkeypatch):
    used = torch.cuda.memory_stats().get(ALLOCATED, 0)
    params = {"epochs": 30, "learning_rate": 0.02, "outputs": outputs}
    model = tm.train(small, params, made_up(kind), cleaning=FILL, baselines=False)
    assert torch.cuda.memory_stats()[ALLOCATED] > used, "nothing was done on the card"
    assert {weight.device.type for weight in model.estimator.parameters()} == {"cpu"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    packaged = check_travels(model, made_up(kind).test, tmp_path, onnx=True)
    assert set(packaged.files) == {"model.graph.json", "model.safetensors", "model.onnx"}


def test_the_same_seed_gives_the_same_weights_on_the_card():
    params = {"epochs": 8, "device": "cuda", "schedule": "cosine", "gradient_clip": 1.0}
    first, second = [
        tm.train(small, params, made_up("binary"), cleaning=FILL, baselines=False, seed=7) for _ in range(2)
    ]
    assert same(first.estimator, second.estimator)


def test_a_full_card_is_tried_again_with_fewer_rows_at_a_time():
    params = {"epochs": 2, "batch_size": 60_000, "device": "cuda"}  # 3.7 GiB for one layer of one batch
    data = of_numbers()
    other = filled(1024 * MEBIBYTE)
    with pytest.warns(UserWarning, match=r"cuda is full: training starts again with \d+ rows at a time") as said:
        model = tm.train(wide, params, data, baselines=False)
    del other
    assert model.metrics["roc_auc"] > 0.8
    rows = int(str(said[-1].message).split(" rows")[0].split()[-1])
    assert rows < 16_000
    again = tm.train(wide, {**params, "batch_size": rows}, data, baselines=False)
    assert same(model.estimator, again.estimator), "another model than the batch that fits gives by itself"


@pytest.mark.filterwarnings("ignore:.*is full:UserWarning")
@pytest.mark.parametrize("left", [32 * MEBIBYTE, 0])
def test_a_card_without_any_room_is_named_as_full_and_says_what_to_do(left):
    other = filled(left)
    with pytest.raises(ModelError, match=r"(?s)cuda is full.*device='cpu'"):
        tm.train(very_wide, {"epochs": 1, "device": "cuda"}, of_numbers(5000), baselines=False)
    del other
    model = tm.train(wide, {"epochs": 1, "device": "cuda"}, of_numbers(5000), baselines=False)
    assert model.framework == "torch", "the card could not be used after it was full"
