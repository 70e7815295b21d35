"""A fingerprint is remembered while nothing changes, and made again as soon as something does."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from pathlib import Path

import pytest

from tidemill.core.errors import UsageError
from tidemill.engine.key import explain, fingerprint, value_digest

_numbers = itertools.count()


@pytest.fixture
def live(tmp_path, monkeypatch):
    """Import a module of this text under a fresh name; returns the module."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def load(text, name=None):
        name = name or f"live_{next(_numbers)}_mill"
        made.append(name)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load
    for name in made:
        sys.modules.pop(name, None)


MUTATIONS = {
    "a global is bound anew": ("LIMIT = 1\ndef fit(x): return LIMIT", "module.LIMIT = 2"),
    "a helper is redefined": ("def helper(x): return 1\ndef fit(x): return helper(x)", "module.helper = lambda x: 2"),
    "a helper's code is replaced": (
        "def helper(x): return 1\ndef fit(x): return helper(x)",
        "module.helper.__code__ = (lambda x: 2).__code__",
    ),
    "a list grows": ("NAMES = [1]\ndef fit(x): return NAMES", "module.NAMES.append(2)"),
    "a value in a dict inside a tuple changes": ("T = ({'a': 1},)\ndef fit(x): return T", "module.T[0]['a'] = 2"),
    "a set loses a member": ("NAMES = {1, 2}\ndef fit(x): return NAMES", "module.NAMES.discard(2)"),
    "an attribute of an object changes": (
        "class Plan: pass\nPLAN = Plan()\nPLAN.size = 1\ndef fit(x): return PLAN.size",
        "module.PLAN.size = 2",
    ),
    "a slot changes": (
        "class Plan:\n    __slots__ = ('size',)\nPLAN = Plan()\nPLAN.size = 1\ndef fit(x): return PLAN.size",
        "module.PLAN.size = 2",
    ),
    "a class attribute changes": ("class Plan:\n    size = 1\ndef fit(x): return Plan.size", "module.Plan.size = 2"),
    "a method is replaced": (
        "class Plan:\n    def size(self): return 1\ndef fit(x): return Plan().size()",
        "module.Plan.size = lambda self: 2",
    ),
    "a built-in is shadowed": ("def fit(x): return len(x)", "module.len = lambda x: 2"),
    "a missing name appears": ("def fit(x): return LATER", "module.LATER = 2"),
    "an array is written to": (
        "import numpy as np\nW = np.zeros(3)\ndef fit(x): return W",
        "module.W[1] = 5",
    ),
    "a closure cell changes": (
        """
        def make():
            n = 1
            def fit(x): return n
            def bump():
                nonlocal n
                n += 1
            return fit, bump
        fit, bump = make()
        """,
        "module.bump()",
    ),
    "defaults change": (
        "def helper(x, k=1): return k\ndef fit(x): return helper(x)",
        "module.helper.__defaults__ = (2,)",
    ),
    "a deque turns": (
        "from collections import deque\nD = deque([1, 2])\ndef fit(x): return D",
        "module.D.rotate()",
    ),
    "a random generator moves on": (
        "import random\nR = random.Random(1)\ndef fit(x): return R.random()",
        "module.R.random()",
    ),
}


@pytest.mark.parametrize("case", MUTATIONS)
def test_a_change_in_this_process_is_seen(live, tmp_path, case):
    text, mutation = MUTATIONS[case]
    module = live(text)
    before = fingerprint(module.fit, tmp_path)
    assert fingerprint(module.fit, tmp_path) is before
    exec(mutation, {"module": module})
    after = fingerprint(module.fit, tmp_path)
    assert after.digest != before.digest
    assert explain(before.parts, after.parts)


TYPICAL = """
import math
import re
import polars as pl
from dataclasses import dataclass
LIMITS = {"a": 1, "b": [2, 3]}
WORD = re.compile("x")
@dataclass(frozen=True)
class Plan:
    size: int = 3
    def double(self): return 2 * self.size
PLAN = Plan()
def one(x): return math.floor(x) + LIMITS["a"]
def two(x): return one(x) + len(str(x)) + PLAN.double()
def three(x): return [two(y) for y in range(x)] and WORD.match(str(x))
def four(x): return three(x) or pl.DataFrame({"a": [x]}).select(pl.col("a")).sum()
def fit(x): return four(x) + three(x)
"""


def test_asking_again_walks_nothing(live, tmp_path):
    fit = live(TYPICAL).fit
    assert fingerprint(fit, tmp_path) is fingerprint(fit, tmp_path)


def test_an_edit_on_disk_does_not_change_the_code_that_is_loaded(live, tmp_path):
    module = live("def helper(x): return 1\ndef fit(x): return helper(x)", "edited_mill")
    before = fingerprint(module.fit, tmp_path)
    (tmp_path / "edited_mill.py").write_text("# moved\n\ndef helper(x): return 2\ndef fit(x): return helper(x)")
    module.unrelated = 1
    module.helper.__defaults__ = None
    assert fingerprint(module.fit, tmp_path).digest == before.digest


def test_results_of_loaded_code_are_never_filed_under_the_edited_source(live, tmp_path):
    """The file is edited between import and the first key: the old code runs, so the new digest would be a lie."""
    module = live("def fit(x): return 1", "stale_mill")
    (tmp_path / "stale_mill.py").write_text("def fit(x): return 2")
    old = fingerprint(module.fit, tmp_path)
    sys.modules.pop("stale_mill")
    importlib.invalidate_caches()
    Path(importlib.util.cache_from_source(str(tmp_path / "stale_mill.py"))).unlink(missing_ok=True)
    new = fingerprint(importlib.import_module("stale_mill").fit, tmp_path)
    assert old.digest != new.digest


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("from dataclasses import dataclass\n@dataclass(order=False)\nclass fit:\n    a: int = 1", "False", "True"),
        ("import functools\n@functools.lru_cache(maxsize=10)\ndef fit(x): return 1", "10", "20"),
    ],
)
def test_what_leaves_no_trace_in_loaded_code_is_not_taken_from_an_edited_file(
    live, tmp_path, monkeypatch, text, old, new
):
    """A decorator's argument is edited between import and the first key: the digest must not be that of the edit."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "decorated_mill.py"
    module = live(text, "decorated_mill")
    file.write_text(f"{text.replace(old, new)}\n# longer")
    loaded = value_digest(module.fit, tmp_path)
    sys.modules.pop("decorated_mill")
    edited = value_digest(live(text.replace(old, new), "decorated_mill").fit, tmp_path)
    assert loaded != edited


def test_functions_without_source_are_known_by_their_bytecode(tmp_path):
    def define(text):
        space = {"__name__": "console_mill"}
        exec(text, space)
        return fingerprint(space["fit"], tmp_path)

    one = define("def helper(x): return x in {1, 2}\ndef fit(x): return helper(x)")
    assert (
        one.digest == define("\n\n# moved\ndef helper(x): return x in {1, 2}\ndef fit(x):\n  return helper(x)").digest
    )
    other = define("def helper(x): return x in {1, 3}\ndef fit(x): return helper(x)")
    assert explain(one.parts, other.parts) == ["helper console_mill.helper changed"]


def test_classes_without_source_are_known_by_their_members(tmp_path):
    def define(text):
        space = {"__name__": "console_mill"}
        exec(text + "\ndef fit(x): return Mill()(x)", space)
        return fingerprint(space["fit"], tmp_path).digest

    one = define("class Mill:\n    teeth = 1\n    def __call__(self, x): return 1")
    assert one == define("class Mill:\n    teeth = 1\n    def __call__(self, x): return 1")
    assert one != define("class Mill:\n    teeth = 2\n    def __call__(self, x): return 1")
    assert one != define("class Mill:\n    teeth = 1\n    def __call__(self, x): return 2")


def test_cycles_of_values_end(live, tmp_path):
    module = live("A = [1]\nA.append(A)\nD = {'a': A}\nD['d'] = D\ndef fit(x): return A, D, fit")
    assert fingerprint(module.fit, tmp_path).parts[f"constant {module.__name__}.A"]


def test_a_function_given_as_a_parameter_counts_with_what_it_reaches(live, tmp_path):
    text = "def helper(x): return 1\ndef build(x): return helper(x)"
    one = value_digest({"build": live(text, "given_mill").build}, tmp_path)
    sys.modules.pop("given_mill")
    (tmp_path / "given_mill.py").unlink()
    two = value_digest({"build": live(text.replace("1", "22"), "given_mill").build}, tmp_path)
    assert one != two


def test_an_open_connection_as_a_parameter_is_refused(tmp_path):
    import sqlite3

    connection = sqlite3.connect(":memory:")
    with pytest.raises(UsageError, match=r"sqlite3\.Connection"):
        value_digest([connection], tmp_path)
    connection.close()


def test_tables_count_by_content(tmp_path):
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    makers = (
        pl.DataFrame,
        pd.DataFrame,
        pa.table,
        lambda data: pl.DataFrame(data).lazy(),
        lambda data: pl.Series(data["a"]),
    )
    for make in makers:
        digests = [value_digest(make({"a": values}), tmp_path) for values in ([1, 2], [1, 2], [1, 3], [1.0, 2.0])]
        assert digests[0] == digests[1]
        assert len(set(digests)) == 3


def test_estimators_count_by_their_parameters(tmp_path):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    digests = [value_digest(make_pipeline(StandardScaler(), Ridge(alpha)), tmp_path) for alpha in (1.0, 1.0, 2.0)]
    assert digests[0] == digests[1] != digests[2]
