"""A stale cache is the worst that a pipeline can serve: each test is a change that must be seen, or must not."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys

import pytest

from tidemill.core.errors import UsageError
from tidemill.engine.key import fingerprint

PROJECT = {
    "flow.py": """
        from pkg.prepare import prepare
        from pkg import conf

        def fit(rows, trials=3):
            '''Fits.'''
            return prepare(rows, conf.LIMIT) * trials
        """,
    "pkg/__init__.py": "",
    "pkg/prepare.py": """
        from .delays import ratio

        def prepare(rows, limit):
            # keep the good ones
            return [ratio(row) for row in rows if row < limit]

        def unrelated():
            return 1
        """,
    "pkg/delays.py": """
        import math

        def ratio(row):
            return math.floor(row / 2)
        """,
    "pkg/conf.py": """
        LIMIT = 10
        OTHER = 3
        """,
}


def test_a_helper_two_modules_away_is_seen_and_named(changes):
    assert changes(PROJECT, "pkg/delays.py", "row / 2", "row / 3") == ["helper pkg.delays.ratio changed"]


def test_a_constant_of_another_module_is_seen_and_named(changes):
    assert changes(PROJECT, "pkg/conf.py", "LIMIT = 10", "LIMIT = 11") == ["constant pkg.conf.LIMIT changed"]


def test_what_is_not_reached_does_not_count(changes):
    assert changes(PROJECT, "pkg/conf.py", "OTHER = 3", "OTHER = 4") == []
    assert changes(PROJECT, "pkg/prepare.py", "return 1", "return 2") == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("flow.py", "'''Fits.'''", "'''Fits a model.'''"),
        ("flow.py", "    '''Fits.'''\n", ""),
        ("pkg/prepare.py", "    # keep the good ones\n", ""),
        ("pkg/prepare.py", "def prepare(rows, limit):", "\n\n\ndef prepare(rows: list, limit: 'int') -> list:"),
        (
            "pkg/prepare.py",
            "[ratio(row) for row in rows if row < limit]",
            "[\n  (ratio(row)) for row in rows\n  if row<limit ]",
        ),
        ("pkg/delays.py", "    return math", "    'Rounded down.'\n    return math"),
        ("pkg/conf.py", "LIMIT = 10", "LIMIT: int = 5 + 5  # ten"),
    ],
)
def test_comments_docstrings_formatting_and_annotations_do_not_count(changes, name, old, new):
    assert changes(PROJECT, name, old, new) == []


def test_swapping_two_imported_helpers_is_seen(changes):
    files = {
        "flow.py": "from pkg import low as a, high as b\ndef fit(x):\n    return a(x) - b(x)\n",
        "pkg.py": "def low(x): return x\ndef high(x): return 2 * x\n",
    }
    assert changes(files, "flow.py", "low as a, high as b", "high as a, low as b") == [
        "the code of step flow.fit changed"
    ]


CASES = {
    "closure value": (
        """
        def make(threshold):
            def fit(x):
                return x > threshold
            return fit
        fit = make(1)
        """,
        "make(1)",
        "make(2)",
        [
            "closure value threshold of flow.make.<locals>.fit changed",
        ],
    ),
    "closures of one factory swapped": (
        """
        def make(n):
            def add(x): return x + n
            return add
        a, b = make(1), make(2)
        def fit(x): return a(b(x) * 2)
        """,
        "make(1), make(2)",
        "make(2), make(1)",
        [
            "closure value n of flow.make.<locals>.add changed",
            "closure value n of flow.make.<locals>.add #2 changed",
        ],
    ),
    "default of a helper": (
        """
        def helper(x, k=1): return x * k
        def fit(x): return helper(x)
        """,
        "k=1",
        "k=2",
        [
            "helper flow.helper changed",
            "default k of flow.helper changed",
        ],
    ),
    "computed default": (
        """
        K = 1
        def helper(x, *, k=K): return x * k
        def fit(x): return helper(x)
        """,
        "K = 1",
        "K = 2",
        [
            "default k of flow.helper changed",
        ],
    ),
    "method": (
        """
        class Mill:
            def grind(self, x): return x + 1
        def fit(x): return Mill().grind(x)
        """,
        "x + 1",
        "x + 2",
        [
            "helper flow.Mill.grind changed",
        ],
    ),
    "method of a base class": (
        """
        class Base:
            def grind(self, x): return x + 1
        class Mill(Base):
            pass
        def fit(x): return Mill().grind(x)
        """,
        "x + 1",
        "x + 2",
        [
            "helper flow.Base.grind changed",
        ],
    ),
    "class attribute": (
        """
        class Mill:
            teeth = 7
            def grind(self, x): return x + self.teeth
        def fit(x): return Mill().grind(x)
        """,
        "7",
        "8",
        [
            "class flow.Mill changed",
        ],
    ),
    "computed class attribute": (
        """
        N = 7
        class Mill:
            teeth = N
        def fit(x): return Mill.teeth
        """,
        "N = 7",
        "N = 8",
        [
            "class flow.Mill changed",
            "constant flow.N changed",
        ],
    ),
    "property": (
        """
        class Mill:
            @property
            def teeth(self): return 7
        def fit(x): return Mill().teeth
        """,
        "7",
        "8",
        [
            "helper flow.Mill.teeth changed",
        ],
    ),
    "static method": (
        """
        class Mill:
            @staticmethod
            def teeth(): return 7
        def fit(x): return Mill.teeth()
        """,
        "7",
        "8",
        [
            "helper flow.Mill.teeth changed",
        ],
    ),
    "dataclass default": (
        """
        from dataclasses import dataclass
        @dataclass
        class Plan:
            size: int = 3
        def fit(x): return Plan().size
        """,
        "= 3",
        "= 4",
        [
            "class flow.Plan changed",
        ],
    ),
    "instance of a project class": (
        """
        class Plan:
            def __init__(self, size): self.size = size
        PLAN = Plan(3)
        def fit(x): return PLAN.size
        """,
        "Plan(3)",
        "Plan(4)",
        [
            "constant flow.PLAN changed",
        ],
    ),
    "method of a constant's class": (
        """
        class Plan:
            def size(self): return 3
        PLAN = Plan()
        def fit(x): return PLAN.size()
        """,
        "return 3",
        "return 4",
        [
            "helper flow.Plan.size changed",
        ],
    ),
    "dispatch table": (
        """
        def one(x): return 1
        def two(x): return 2
        TABLE = {'one': one, 'two': [two]}
        def fit(x): return TABLE[x](x)
        """,
        "return 2",
        "return 3",
        [
            "helper flow.two changed",
        ],
    ),
    "registered by a decorator": (
        """
        TABLE = {}
        def register(f):
            TABLE[f.__name__] = f
            return f
        @register
        def one(x): return 1
        def fit(x): return TABLE[x](x)
        """,
        "return 1",
        "return 2",
        [
            "helper flow.one changed",
        ],
    ),
    "decorator's wrapper": (
        """
        import functools
        def twice(f):
            @functools.wraps(f)
            def inner(x): return 2 * f(x)
            return inner
        @twice
        def helper(x): return x
        def fit(x): return helper(x)
        """,
        "2 * f(x)",
        "3 * f(x)",
        [
            "helper flow.twice changed",
            "helper flow.twice.<locals>.inner changed",
        ],
    ),
    "under a decorator": (
        """
        import functools
        def twice(f):
            @functools.wraps(f)
            def inner(x): return 2 * f(x)
            return inner
        @twice
        def helper(x): return x
        def fit(x): return helper(x)
        """,
        "return x\n",
        "return -x\n",
        [
            "helper flow.helper changed",
        ],
    ),
    "under lru_cache": (
        """
        import functools
        @functools.lru_cache
        def helper(x): return 1
        def fit(x): return helper(x)
        """,
        "return 1",
        "return 2",
        [
            "helper flow.helper changed",
        ],
    ),
    "partial": (
        """
        import functools
        def power(x, n): return x ** n
        square = functools.partial(power, n=2)
        def fit(x): return square(x)
        """,
        "n=2",
        "n=3",
        [
            "constant flow.square changed",
        ],
    ),
    "single dispatch": (
        """
        import functools
        @functools.singledispatch
        def show(x): return 1
        @show.register
        def _(x: int): return 2
        def fit(x): return show(x)
        """,
        "return 2",
        "return 3",
        [
            "helper flow._ changed",
        ],
    ),
    "lambda": (
        """
        key = lambda x: x + 1
        def fit(x): return sorted(x, key=key)
        """,
        "x + 1",
        "x - 1",
        [
            "helper flow.<lambda> changed",
        ],
    ),
    "one of two lambdas on a line": (
        """
        keys = [lambda x: x + 1, lambda x: x + 2]
        def fit(x): return keys
        """,
        "x + 2",
        "x + 3",
        [
            "helper flow.<lambda> #2 changed",
        ],
    ),
    "import inside the function": (
        """
        def fit(x):
            from late import helper
            import late as other
            return helper(x)
        """,
        "x)\n",
        "-x)\n",
        [
            "the code of step flow.fit changed",
        ],
    ),
    "nested function's global": (
        """
        N = 1
        def fit(x):
            def inner(y): return [z + N for z in y]
            return inner(x)
        """,
        "N = 1",
        "N = 2",
        [
            "constant flow.N changed",
        ],
    ),
    "recursion": (
        """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def fit(n): return even(n)
        """,
        "n != 0",
        "n > 0",
        [
            "helper flow.odd changed",
        ],
    ),
    "regular expression": (
        """
        import re
        WORD = re.compile('a+')
        def fit(x): return WORD.findall(x)
        """,
        "a+",
        "b+",
        [
            "constant flow.WORD changed",
        ],
    ),
    "array": (
        """
        import numpy as np
        WEIGHTS = np.array([1.0, 2.0])
        def fit(x): return x @ WEIGHTS
        """,
        "2.0",
        "2.5",
        [
            "constant flow.WEIGHTS changed",
        ],
    ),
    "enumeration": (
        """
        import enum
        class Mode(enum.Enum):
            A = 1
            B = 2
        def fit(x): return Mode.A
        """,
        "B = 2",
        "B = 3",
        [
            "class flow.Mode changed",
        ],
    ),
    "function attribute": (
        """
        def helper(x): return x
        helper.limit = 3
        def fit(x): return helper.limit
        """,
        "= 3",
        "= 4",
        [
            "constant flow.helper.limit changed",
        ],
    ),
    "operator": (
        "def fit(x): return x + 1\n",
        "x + 1",
        "x - 1",
        [
            "the code of step flow.fit changed",
        ],
    ),
    "set in a condition": (
        "def fit(x): return x in {'a', 'b', 'c'}\n",
        "'c'",
        "'d'",
        [
            "the code of step flow.fit changed",
        ],
    ),
    "inside a partly project-made external wrapper": (
        """
        import contextlib
        @contextlib.contextmanager
        def guard():
            yield 1
        def fit(x):
            with guard() as g: return g
        """,
        "yield 1",
        "yield 2",
        [
            "helper flow.guard changed",
        ],
    ),
    "named tuple": (
        """
        from typing import NamedTuple
        class Point(NamedTuple):
            x: int = 1
        def fit(x): return Point()
        """,
        "= 1",
        "= 2",
        [
            "class flow.Point changed",
        ],
    ),
    "annotation of the step": (
        """
        import polars as pl
        def fit(x: pl.DataFrame): return x
        """,
        "pl.DataFrame",
        "pl.LazyFrame",
        [
            "the code of step flow.fit changed",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_anywhere_in_the_reached_code_is_seen_and_named(changes, case):
    text, old, new, expected = CASES[case]
    files = {"flow.py": text, "late.py": "def helper(x): return 1\n"}
    assert sorted(changes(files, "flow.py", old, new)) == sorted(expected)


@pytest.mark.parametrize(
    "body",
    [
        "from late import helper\n    return helper(x)",
        "import late\n    return late.helper(x)",
        "import late as other\n    return other.helper(x)",
        "from sub import late as other\n    return other.helper(x)",
        "import sub.late\n    return sub.late.helper(x)",
        "import sub.late as other\n    return [other.helper(y) for y in x]",
        "from sub.late import helper as h\n    def inner(): return h(x)\n    return inner()",
    ],
)
def test_imports_inside_functions_are_followed(changes, body):
    late = "def helper(x):\n    return 1\n"
    files = {"flow.py": f"def fit(x):\n    {body}\n", "late.py": late, "sub/__init__.py": "", "sub/late.py": late}
    name = "sub/late.py" if "sub" in body else "late.py"
    module = "sub.late" if "sub" in body else "late"
    assert changes(files, name, "return 1", "return 2") == [f"helper {module}.helper changed"]


@pytest.mark.parametrize(
    ("head", "use"),
    [
        ("import pkg.deep.helpers", "pkg.deep.helpers.fn(x)"),
        ("import pkg", "pkg.deep.helpers.fn(x)"),
        ("from pkg import deep", "deep.helpers.fn(x)"),
        ("from pkg.deep.helpers import *", "fn(x)"),
        ("from pkg import fn", "fn(x)"),
        ("from pkg.deep import helpers as h", "h.fn(x)"),
    ],
)
def test_attributes_reached_through_modules_are_followed(changes, head, use):
    files = {
        "flow.py": f"{head}\ndef fit(x):\n    return {use}\n",
        "pkg/__init__.py": "from pkg.deep.helpers import fn\n",
        "pkg/deep/__init__.py": "from . import helpers\n",
        "pkg/deep/helpers.py": "LIMIT = 1\ndef fn(x):\n    return LIMIT\ndef other(x): return 0\n",
    }
    assert changes(files, "pkg/deep/helpers.py", "LIMIT = 1", "LIMIT = 2") == [
        "constant pkg.deep.helpers.LIMIT changed"
    ]
    assert changes(files, "pkg/deep/helpers.py", "return 0", "return 9") == []


@pytest.mark.parametrize("use", ["getattr(conf, x)", "vars(conf)[x]", "[conf][0].ratio()"])
def test_a_module_used_as_a_value_counts_as_a_whole(changes, use):
    files = {"flow.py": f"import conf\ndef fit(x): return {use}\n", "conf.py": "A = 1\ndef ratio(): return 2\n"}
    assert changes(files, "conf.py", "A = 1", "A = 7") == ["module conf changed"]
    assert changes(files, "conf.py", "return 2", "return 7") == ["helper conf.ratio changed"]


def test_an_imported_constant_has_the_name_of_its_home(changes):
    files = {
        "flow.py": "from pkg import LIMIT\ndef fit(x): return LIMIT\n",
        "pkg/__init__.py": "from .conf import *\n",
        "pkg/conf.py": "LIMIT = 10\n",
    }
    assert changes(files, "pkg/conf.py", "10", "11") == ["constant pkg.conf.LIMIT changed"]


def test_a_step_called_plainly_is_followed_and_its_options_do_not_count(changes):
    files = {
        "flow.py": "import tidemill.engine as t\n@t.step(retries=1)\ndef helper(x): return 1\n"
        "@t.step(retries=2)\ndef fit(x): return helper(x)\n"
    }
    assert changes(files, "flow.py", "retries=2", "retries=3, timeout=5") == []
    assert changes(files, "flow.py", "retries=1", "retries=4, executor='worker'") == []
    assert changes(files, "flow.py", "return 1", "return 2") == ["helper flow.helper changed"]


def test_a_polars_expression_counts_with_the_python_functions_in_it(changes):
    files = {
        "flow.py": "from conf import RATIO\ndef fit(df): return df.with_columns(RATIO)\n",
        "conf.py": "import polars as pl\ndef helper(x): return x + 1\n"
        "RATIO = pl.col('a').map_batches(lambda s: helper(s), return_dtype=pl.Int64) + 3\n",
    }
    assert changes(files, "conf.py", "+ 3", "+ 4") == ["constant conf.RATIO changed", "module conf changed"]
    assert changes(files, "conf.py", "x + 1", "x + 2") == ["helper conf.helper changed"]


def test_a_value_without_a_canonical_form_is_an_error_that_names_it(project):
    project.write({"flow.py": "import sqlite3\nDB = sqlite3.connect(':memory:')\ndef fit(x): return DB.execute(x)\n"})
    error = project.ask()["error"]
    assert error.startswith("step flow.fit cannot be cached: constant flow.DB is of type sqlite3.Connection")
    assert "cache=False" in error


def test_what_does_not_change_results_is_left_aside(project):
    project.write(
        {
            "flow.py": "import logging, threading, contextvars, sys\n"
            "LOG = logging.getLogger('x')\nLOCK = threading.Lock()\n"
            "VAR = contextvars.ContextVar('v')\nOUT = sys.stdout\n"
            "def fit(x):\n    with LOCK: LOG.info(VAR.get()); OUT.write(x)\n"
        }
    )
    assert project.parts() == project.parts()


def test_a_connection_made_when_first_needed_is_no_constant(project):
    project.write(
        {
            "flow.py": "import sqlite3\n_db = None\n"
            "def db():\n    global _db\n    _db = _db or sqlite3.connect(':memory:')\n    return _db\n"
            "db()\ndef fit(x): return db().execute(x)\n"
        }
    )
    assert "constant flow._db" in project.parts()


LARGE = {
    "flow.py": """
        import re
        from functools import partial
        from pathlib import Path
        from dataclasses import dataclass, field
        HERE = Path(__file__).parent / "data"
        TEXT = str(HERE)
        NAMES = {"a", "b", "c", "d"}
        FROZEN = frozenset({("x", 1), ("y", 2), "z"})
        def one(x): return 1
        def two(x): return 2
        FUNCTIONS = {one, two}
        @dataclass(frozen=True)
        class Plan:
            names: frozenset = FROZEN
            limits: dict = field(default_factory=lambda: {"a": {1, 2, 3}})
            def apply(self, x): return x in {"p", "q", "r", 1.5, None}
        PLAN = Plan()
        class Weird(dict):
            __slots__ = ("extra",)
        WEIRD = Weird(a=1)
        def fit(x):
            if x in {"k", "l", "m"}: return HERE, TEXT, NAMES, FUNCTIONS, PLAN, WEIRD, __file__, __name__
        """
}


def test_neither_the_hash_seed_nor_the_place_of_the_project_counts(project, tmp_path):
    project.write(LARGE)
    found = [project.ask(seed=seed) for seed in ("0", "1", "2", "77")]
    shutil.copytree(project.root, tmp_path / "elsewhere" / "deeper")
    found.append(project.ask(root=tmp_path / "elsewhere" / "deeper"))
    assert all(one["parts"] == found[0]["parts"] for one in found)
    assert len({one["digest"] for one in found}) == 1


def test_the_line_number_does_not_count(project):
    project.write(LARGE)
    before = project.ask()
    text = (project.root / "flow.py").read_text()
    (project.root / "flow.py").write_text("# a licence\n" * 30 + text)
    assert project.ask()["digest"] == before["digest"]


def _install(site, version):
    shutil.rmtree(site, ignore_errors=True)
    (site / "fakelib").mkdir(parents=True)
    (site / "fakelib" / "__init__.py").write_text("def grind(x): return x\n")
    info = site / f"fake_lib-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-lib\nVersion: {version}\n")
    (info / "RECORD").write_text(f"fakelib/__init__.py,,\n{info.name}/METADATA,,\n")


@pytest.mark.parametrize(
    "text",
    [
        "import fakelib\ndef fit(x): return fakelib.grind(x)\n",
        "from fakelib import grind\ndef fit(x): return grind(x)\n",
        "def fit(x):\n    import fakelib as f\n    return f.grind(x)\n",
        "import fakelib\ndef helper(x): return fakelib.grind(x)\ndef fit(x): return helper(x)\n",
        "import fakelib\nTABLE = [fakelib.grind]\ndef fit(x): return TABLE[0](x)\n",
    ],
)
def test_a_new_version_of_a_package_that_is_used_is_seen_and_named(project, tmp_path, text):
    from tidemill.engine.key import explain

    site = tmp_path / "site-packages"
    project.write({"flow.py": text})
    _install(site, "2.0.0")
    before = project.parts(path=str(site))
    assert before["package fake-lib"] == "2.0.0"
    _install(site, "2.1.0")
    assert explain(before, project.parts(path=str(site))) == ["package fake-lib changed from 2.0.0 to 2.1.0"]


def test_a_package_that_no_reached_function_uses_does_not_count(project, tmp_path):
    _install(tmp_path / "site-packages", "2.0.0")
    project.write({"flow.py": "import fakelib\ndef other(x): return fakelib\ndef fit(x): return x\n"})
    assert "package fake-lib" not in project.parts(path=str(tmp_path / "site-packages"))


def test_a_sibling_project_installed_in_editable_mode_is_code_not_a_version(project, tmp_path):
    from tidemill.engine.key import explain

    sibling = tmp_path / "sibling" / "src"
    sibling.mkdir(parents=True)
    (sibling / "shared.py").write_text("def helper(x): return 1\n")
    project.write({"flow.py": "import shared\ndef fit(x): return shared.helper(x)\n"})
    before = project.parts(path=str(sibling))
    (sibling / "shared.py").write_text("def helper(x): return 2\n")
    assert explain(before, project.parts(path=str(sibling))) == ["helper shared.helper changed"]


def test_a_folder_that_pip_filled_elsewhere_holds_packages_and_no_code_of_the_project(project, tmp_path):
    target = tmp_path / "layer"  # as `pip install --target` makes it
    (target / "leaf-1.0.dist-info").mkdir(parents=True)
    (target / "leaf-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: leaf\nVersion: 1.0\n")
    (target / "leaf-1.0.dist-info" / "RECORD").write_text("leaf.py,,\n")
    (target / "leaf.py").write_text("import threading\nLOCK = threading.Lock()\ndef grow(x): return LOCK, x\n")
    project.write({"flow.py": "import leaf\ndef fit(x): return leaf.grow(x)\n"})
    assert project.parts(path=str(target))["package leaf"] == "1.0"


def test_a_module_that_answers_for_every_name_is_a_library_all_the_same(project, tmp_path):
    """Such as `torch.ops` and `torch.classes`: their ``__file__`` is no file, and they have whatever one asks for."""
    site = tmp_path / "site-packages"
    site.mkdir()
    text = """
import sys
from types import ModuleType

class Answering(ModuleType):
    __file__ = "_ops.py"
    def __getattr__(self, name): return None

sys.modules[__name__] = Answering(__name__)
"""
    (site / "answering.py").write_text(text)
    project.write({"flow.py": "import answering\ndef fit(x): return answering.add\n"})
    assert set(project.parts(path=str(site))) == {"python", "package tidemill", "package answering", "step flow.fit"}


def test_python_and_tidemill_count(project):
    project.write({"flow.py": "def fit(x): return x\n"})
    assert {"python", "package tidemill", "step flow.fit"} == set(project.parts())


def test_a_script_has_the_digest_of_the_module_that_it_is(project):
    project.write(
        {
            "flow.py": """
            import sys
            from pathlib import Path
            from tidemill.engine.key import fingerprint
            LIMIT = 1
            class Mill:
                def grind(self, x): return x
            def fit(x): return Mill().grind(LIMIT), __name__
            if __name__ == "__main__":
                print(fingerprint(fit, Path(sys.argv[1])).digest)
            """
        }
    )
    imported = project.ask()["digest"]
    script = [sys.executable, str(project.root / "flow.py"), str(project.root)]
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip() == imported


def test_a_step_that_is_never_cached_may_hold_anything(tmp_path):
    connection = sqlite3.connect(":memory:")

    def fit(query):
        return connection.execute(query)

    with pytest.raises(UsageError, match="closure"):
        fingerprint(fit, tmp_path)
    assert fingerprint(fit, tmp_path, strict=False).digest
    connection.close()
