"""A model of several estimators: each in the safe format of its own library, under its number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError
from tidemill.core.tasks import Task
from tidemill.packaging.formats import FORMATS, native_format
from tidemill.training.frameworks import framework_name
from tidemill.training.frameworks.members import Members, member_task, side_by_side

FILE = "members.json"
_OWN = "members"


def save(estimator: Any) -> dict[str, bytes]:
    """``members.json``, which names the library of each member, and the members' files as ``0.model.skops``, ….

    Raises
    ------
    UnsafeModelError
        For a member whose library has no safe format.
    """
    files: dict[str, bytes] = {}
    listed: list[dict[str, Any]] = []
    for place, member in enumerate(estimator.members):
        if isinstance(member, float):
            listed.append({"constant": member})
            continue
        framework = framework_name(member)
        listed.append({"framework": framework})
        files |= {f"{place}.{name}": data for name, data in native_format(framework).save(member).items()}
    text = json.dumps({"ordered": estimator.ordered, "members": listed}, sort_keys=True)
    return {FILE: f"{text}\n".encode(), **files}


def load(files: Mapping[str, bytes]) -> Members:
    """The members.

    Raises
    ------
    UnsafeModelError
        When ``members.json`` is missing or is not what `save` writes, or a file belongs to no member.
    """
    listed, ordered = _listed(files)
    left = set(files) - {FILE}
    members: list[Any] = []
    for place, entry in enumerate(listed):
        if "constant" in entry:
            members.append(float(entry["constant"]))
            continue
        own = {name.removeprefix(f"{place}."): files[name] for name in left if name.startswith(f"{place}.")}
        left -= {f"{place}.{name}" for name in own}
        members.append(native_format(entry["framework"]).load(own))
    if left:
        raise UnsafeModelError("a file belongs to no member of the model", value=sorted(left), hint="Package it again.")
    return Members(tuple(members), ordered=ordered)


def predict(estimator: Members, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """What the members say, side by side: [n, members]."""
    asked = member_task(task)
    columns = [
        np.full(len(matrix), member)
        if isinstance(member, float)
        else native_format(framework).predict(member, matrix, asked)
        for member, framework in zip(estimator.members, _frameworks(estimator), strict=True)
    ]
    return side_by_side(columns, ordered=estimator.ordered)


def _frameworks(estimator: Members) -> list[str]:
    return ["" if isinstance(member, float) else framework_name(member) for member in estimator.members]


def _listed(files: Mapping[str, bytes]) -> tuple[list[dict[str, Any]], bool]:
    try:
        found = json.loads(files[FILE])
        listed, ordered = found["members"], found["ordered"]
        good = isinstance(ordered, bool) and all(
            isinstance(entry.get("constant"), float) or entry.get("framework") in set(FORMATS) - {_OWN}
            for entry in listed
        )
    except (RecursionError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UnsafeModelError(f"{FILE} is missing or no list of members: {error}", hint="Package it again.") from error
    if not good:
        raise UnsafeModelError(f"{FILE} names a member of no known library", value=listed, hint="Package it again.")
    return listed, ordered
