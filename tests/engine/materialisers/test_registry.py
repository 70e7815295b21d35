"""Registration: a team's own types are stored by its own materialisers, and nothing is ever pickled."""

from __future__ import annotations

import importlib.metadata
import sys
from abc import ABC
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from tidemill.core.errors import MaterialiserError, UsageError
from tidemill.engine.materialisers import Draft, digest_of, load, register, registry, save
from tidemill.engine.materialisers.plain import NAME as PLAIN

HERE = __name__


class Thing:
    def __init__(self, text: str) -> None:
        self.text = text


class Special(Thing):
    pass


class Shape(ABC):  # noqa: B024 - only registered with
    pass


class ThingMaterialiser:
    type = "thing"

    def save(self, value: Any, artifacts: Any) -> Draft:
        blob = artifacts.put(value.text.encode())
        return Draft(blob.digest, self.type, f"{HERE}:ThingMaterialiser", blob.size, None, blob.digest)

    def load(self, artifact: Any, annotation: Any, artifacts: Any) -> Any:
        return (annotation or Thing)(artifacts.read(artifact.blob).decode())


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """The table as it is without what other tests registered."""
    for name in ("_registered", "_found", "_made"):
        monkeypatch.setattr(registry, name, {})
    monkeypatch.setattr(registry, "_installed", None)
    monkeypatch.setitem(sys.modules, HERE, sys.modules.get(HERE) or SimpleNamespace(**globals()))


def test_an_unknown_type_is_refused_with_the_way_out(artifacts):
    with pytest.raises(MaterialiserError) as caught:
        save(Thing("x"), None, artifacts)
    message = str(caught.value)
    assert f"no materialiser for {HERE}.Thing, and values are never pickled" in message
    assert f'register("{HERE}:Thing", "your_module:YourMaterialiser")' in message
    assert digest_of(Thing("x")) is None
    assert list(artifacts.blobs()) == []


def test_a_registered_type_and_its_subclasses_are_stored(artifacts):
    register(f"{HERE}:Thing", f"{HERE}:ThingMaterialiser")
    for kind in (Thing, Special):
        draft = save(kind("tide"), kind, artifacts)
        loaded = load(draft, kind, artifacts)
        assert type(loaded) is kind
        assert loaded.text == "tide"
    assert load(draft, None, artifacts).text == "tide"
    assert digest_of(Thing("x")) is None


def test_the_annotation_decides_for_an_abstract_class(artifacts):
    register(f"{HERE}:Shape", f"{HERE}:ThingMaterialiser")
    Shape.register(Thing)
    assert save(Thing("x"), Shape, artifacts).type == "thing"


def test_a_registration_goes_before_ours(artifacts):
    register(f"{HERE}:Thing", f"{HERE}:ThingMaterialiser")
    register("datetime:timedelta", f"{HERE}:ThingMaterialiser")
    assert registry.name_for(timedelta) == f"{HERE}:ThingMaterialiser"
    assert registry.name_for(int) == PLAIN


def test_an_installed_package_brings_its_own(artifacts, monkeypatch):
    point = importlib.metadata.EntryPoint(f"{HERE}:Thing", f"{HERE}:ThingMaterialiser", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    assert load(save(Thing("tide"), None, artifacts), Thing, artifacts).text == "tide"


@pytest.mark.parametrize("path", ["", "module", ":Class", "module:"])
def test_paths_are_checked(path):
    with pytest.raises(UsageError, match="not the path of a class"):
        register(path, "a:B")


def test_a_name_in_the_store_is_not_imported(artifacts):
    """Whoever can write to a shared store could otherwise choose what everybody imports and calls."""
    draft = Draft("0" * 64, "json", "subprocess:Popen", 1, "1")
    with pytest.raises(MaterialiserError, match="not registered here"):
        load(draft, None, artifacts)


def test_a_materialiser_that_cannot_be_imported(artifacts):
    register(f"{HERE}:Thing", "no_such_module:Nothing")
    with pytest.raises(MaterialiserError, match="cannot be loaded"):
        save(Thing("x"), None, artifacts)


def test_lookup_by_package_finds_moved_classes():
    assert registry.name_for(pl.LazyFrame) == registry.name_for(pl.DataFrame) != PLAIN
