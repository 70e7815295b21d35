"""Why a step runs again, in sentences that name what changed."""

from __future__ import annotations

from collections.abc import Mapping

_NOUNS = {
    "step": "the code of step {}",
    "function": "helper {}",
    "wrapper": "what {} wraps",
    "class": "class {}",
    "constant": "constant {}",
    "closure": "closure value {}",
    "default": "default {}",
    "module": "module {}",
    "extension": "compiled module {}",
    "package": "package {}",
    "param": "parameter {}",
    "input": "input {}",
    "env": "environment variable {}",
}
#: Parts whose values are shown: they are names of versions.
_SHOWN = ("package", "python", "version")


def explain(previous: Mapping[str, str] | None, current: Mapping[str, str]) -> list[str]:
    """What differs between two sets of parts (of the code and of the key), the likeliest cause first.

    Parameters
    ----------
    previous
        The parts of the last execution; None if there was none.
    current
        The parts now.

    Returns
    -------
    list of str
        One sentence for each difference; empty if there is none.

    Examples
    --------
    >>> explain({"function delays.ratio": "1", "python": "3.11"}, {"function delays.ratio": "2", "python": "3.12"})
    ['helper delays.ratio changed', 'Python changed from 3.11 to 3.12']
    >>> explain(None, {})
    ['never ran before']
    """
    if previous is None:
        return ["never ran before"]
    names = sorted(previous.keys() | current.keys(), key=_rank)
    changed = [name for name in names if previous.get(name) != current.get(name)]
    return [_sentence(name, previous.get(name), current.get(name)) for name in changed]


def _rank(name: str) -> tuple[int, str]:
    kind = _split(name)[0]
    order = [*_NOUNS, "python", "version"]
    return (order.index(kind) if kind in order else len(order), name)


def _split(name: str) -> tuple[str, str]:
    separator = ":" if name.partition(":")[0] in ("param", "input", "env") else " "
    kind, _, subject = name.partition(separator)
    return kind, subject


def _sentence(name: str, before: str | None, after: str | None) -> str:
    kind, subject = _split(name)
    noun = _noun(kind, subject)
    shown = kind in _SHOWN
    if before is None:
        return f"new {noun}{f' {after}' if shown else ''}"
    if after is None:
        return f"{noun} is no longer used"
    return f"{noun} changed from {before} to {after}" if shown else f"{noun} changed"


def _noun(kind: str, subject: str) -> str:
    if kind == "python":
        return "Python"
    if kind in ("closure", "default"):
        owner, _, value = subject.rpartition(".<")
        return f"{'closure value' if kind == 'closure' else 'default'} {value.removesuffix('>')} of {owner}"
    return _NOUNS[kind].format(subject) if kind in _NOUNS else f"{kind} {subject}".strip()
