"""What a shadow is asked: all that its server can keep for it, large requests too, and never more than that."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tidemill.packaging.package import Package
from tidemill.serving import shadowing
from tidemill.serving.predictor import Predictor
from tidemill.serving.shadowing import Shadowing
from tidemill.serving.variants import Variant, variant_of


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(shadowing, "shadow_dropped", told.append)
    return told


def test_large_requests_are_shadowed_as_long_as_they_fit(packaged: Package, dropped: list[str]) -> None:
    asked: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def ask(_: Variant, rows: Sequence[Any]) -> None:
        begun.set()
        assert go_on.wait(60)
        asked.append(len(rows))

    shadows = (variant_of(Predictor(packaged), name="candidate"),)
    shadow = Shadowing("flight-delay", rows=5000)
    shadow.ask(shadows, [{}] * 2000, ask)
    assert begun.wait(60)
    shadow.ask(shadows, [{}] * 3000, ask)
    shadow.ask(shadows, [{}], ask)  # beyond what may wait
    assert dropped == ["flight-delay"]
    go_on.set()
    shadow.close()
    shadow.ask(shadows, [{}] * 5000, ask)  # what is done waits no more
    shadow.close()
    assert asked == [2000, 3000, 5000]
    assert dropped == ["flight-delay"]


def test_no_more_requests_wait_than_may(packaged: Package, dropped: list[str]) -> None:
    go_on = threading.Event()
    shadows = (variant_of(Predictor(packaged), name="candidate"),)
    shadow = Shadowing("flight-delay", waiting=1, rows=100)
    for _ in range(10):
        shadow.ask(shadows, [{}], lambda *_: go_on.wait(60))
    assert len(dropped) in (8, 9)  # one is asked, or about to be
    go_on.set()
    shadow.close()
    shadow.ask(shadows, [{}] * 100, lambda *_: None)
    assert len(dropped) in (8, 9)
    shadow.close()
