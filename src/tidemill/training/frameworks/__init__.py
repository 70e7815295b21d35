"""What training must know of the libraries that estimators come from: one module each, found by name.

A module says how an estimator of its library is seeded, fitted and asked. `FRAMEWORKS` is a static table, so that
fitting a LightGBM model loads no other library; what the table does not name is met as anything with ``fit`` and
``predict`` (`generic`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from tidemill.core.tasks import Task
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers

#: The first part of a class's module -> the module that knows the library.
FRAMEWORKS: Mapping[str, str] = {
    "catboost": "tidemill.integrations.catboost",
    "keras": "tidemill.integrations.keras",
    "lightgbm": "tidemill.training.frameworks.lightgbm_models",
    "members": "tidemill.training.frameworks.members",
    "pyspark": "tidemill.integrations.spark_ml",
    "river": "tidemill.integrations.river",
    "torch": "tidemill.integrations.torch",
    "xgboost": "tidemill.integrations.xgboost",
}

#: Modules of our own estimators, which go by a name and not by their library's.
_OWN: Mapping[str, str] = {"tidemill.training.frameworks.members": "members"}

_GENERIC = "tidemill.training.frameworks.generic"


class Framework(Protocol):
    """What a module of this folder has.

    It may have ``iterations(estimator)``, ``joint(estimator, task)`` and ``refuse_unread(estimator)`` besides:
    `iterations`, `joint` and `refuse_unread` here say what they answer, and what holds without.
    """

    def settle(self, estimator: Any, given: Given) -> Any:
        """Set what the user left open: seeds, thread counts, what makes a second fit give the same model.

        Returns
        -------
        object
            What is fitted: the estimator, or one around it.
        """
        ...

    def fit(self, estimator: Any, fitting: Fitting) -> Any:
        """Fit on the training rows, stopping early on the validation rows where the library can; the fitted one."""
        ...

    def scores(self, estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
        """What it predicts: shape (rows,) or (rows, outputs), as the task has it (`tidemill.core.tasks`)."""
        ...


def framework_name(estimator: Any) -> str:
    """The library that an estimator comes from, by its class or the classes that it extends.

    An object of a class of the user's own that gives its state and is made from it is ``"own"``.

    >>> framework_name(object())
    'builtins'
    """
    told = getattr(type(estimator), "framework", None)  # what a library's model became when it was fitted
    if isinstance(told, str) and told in FRAMEWORKS:
        return told
    modules = [kind.__module__ for kind in type(estimator).__mro__]
    libraries = [_OWN.get(module) or _library(module) for module in modules]
    known = next((name for name in libraries if name in FRAMEWORKS), None)
    if known is None and all(callable(getattr(type(estimator), name, None)) for name in ("get_state", "from_state")):
        return "own"
    return known or libraries[0]


def _library(module: str) -> str:
    """The package of a module; one of the user's that is called as no library is goes by another name."""
    name = module.partition(".")[0]
    return f"module {name}" if name in {"own", *_OWN.values()} else name


def framework_for(estimator: Any) -> Framework:
    """The module that knows an estimator's library."""
    return cast("Framework", importlib.import_module(FRAMEWORKS.get(framework_name(estimator), _GENERIC)))


def refuse_unread(estimator: Any) -> None:
    """Raise a `UsageError` for a parameter that an estimator or a part of it took and its library would not read.

    Only libraries that take any name are asked; the others refuse a wrong one themselves.
    """
    if isinstance(estimator, type) or not callable(getattr(estimator, "get_params", None)):
        return
    for part in (estimator, *estimator.get_params(deep=True).values()):
        whole = not isinstance(part, type) and callable(getattr(part, "get_params", None))
        asked = getattr(framework_for(part), "refuse_unread", None) if whole else None
        if asked is not None:
            asked(part)


def iterations(estimator: Any) -> int | None:
    """How many rounds or epochs early stopping kept; None where its library knows of none."""
    asked = getattr(framework_for(estimator), "iterations", None)
    return None if asked is None else cast("int | None", asked(estimator))


def joint(estimator: Any, task: Task) -> bool:
    """Whether one estimator gives all the numbers of an answer; without its library's word it gives one."""
    asked = getattr(framework_for(estimator), "joint", None)
    return asked is not None and bool(asked(estimator, task))


__all__ = [
    "FRAMEWORKS", "Fitting", "Framework", "Given", "Matrix", "Numbers", "framework_for", "framework_name", "iterations",
    "joint", "refuse_unread",
]  # fmt: skip
