"""Features that a request does not bring come from the online store, and a store that is away is never hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tidemill.core.errors import StoreUnavailableError
from tidemill.packaging.package import Package
from tidemill.serving.online import OnlineViews
from tidemill.serving.predictor import Predictor


class Weather:
    """A store with the weather of two planes, that can be switched off."""

    def __init__(self) -> None:
        self.down = False
        self.asked: list[Any] = []

    def read(self, view: str, keys: Sequence[tuple[Any, ...]]) -> Sequence[Mapping[str, Any] | None]:
        self.asked.append((view, list(keys)))
        if self.down:
            raise StoreUnavailableError("the online store does not answer", value="redis://weather")
        return [{"N14228": {"temp": 31.5}, "N24211": {"temp": -4.0}}.get(key[0]) for key in keys]


@pytest.fixture
def weather() -> Weather:
    return Weather()


def views(predictor: Predictor, store: Weather, **options: Any) -> OnlineViews:
    return OnlineViews(
        store, {"weather": ("tailnum",)}, {"weather": ("temp",)}, frozenset(predictor.columns), **options
    )


@pytest.fixture(scope="module")
def plain(packaged: Package) -> Predictor:
    return Predictor(packaged)


def row(plain: Predictor, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in plain.example().items() if name != "temp"} | more


def test_features_are_read_by_the_entity_in_one_call(packaged: Package, plain: Predictor, weather: Weather) -> None:
    predictor = Predictor(packaged, features=views(plain, weather))
    told = predictor.predict([row(plain, tailnum="N14228"), row(plain, tailnum="N24211"), row(plain, temp=3.0)])
    assert told == plain.predict([row(plain, temp=31.5), row(plain, temp=-4.0), row(plain, temp=3.0)])
    assert weather.asked == [("weather", [("N14228",), ("N24211",)])]


def test_an_unknown_entity_has_no_features(packaged: Package, plain: Predictor, weather: Weather) -> None:
    predictor = Predictor(packaged, features=views(plain, weather))
    assert predictor.predict(row(plain, tailnum="N0")) == plain.predict(row(plain, temp=None))


def test_what_a_row_brings_itself_is_kept(packaged: Package, plain: Predictor, weather: Weather) -> None:
    predictor = Predictor(packaged, features=views(plain, weather))
    assert predictor.predict(row(plain, tailnum="N14228", temp=1.0)) == plain.predict(row(plain, temp=1.0))
    assert weather.asked == []


def test_while_the_store_is_away_rows_are_refused_or_warned(
    packaged: Package, plain: Predictor, weather: Weather
) -> None:
    weather.down = True
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        Predictor(packaged, features=views(plain, weather)).predict(row(plain, tailnum="N14228"))
    told = Predictor(packaged, features=views(plain, weather, when_down="missing")).predict(
        row(plain, tailnum="N14228")
    )
    assert told.pop("warnings") == ["the features of weather are missing: the online store does not answer"]
    assert told == plain.predict(row(plain, temp=None))


def test_a_row_that_is_none_meets_the_validator(packaged: Package, plain: Predictor, weather: Weather) -> None:
    predictor = Predictor(packaged, features=views(plain, weather))
    told = predictor.predict([3, {"tailnum": ["a", "list"]}, row(plain, tailnum="N14228")])  # type: ignore[list-item]
    assert ["error" in one for one in told] == [True, True, False]
