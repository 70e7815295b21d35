"""What reproducing a model version found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["equal", "taken", "different", "absent"]


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """How a step's result compares with the recorded one.

    Parameters
    ----------
    node, stage
        The step's place in the run, and its stage.
    outcome
        ``equal``; ``taken``: it was not done again, since it reads a source or acts on the world, and its recorded
        result stood in; ``different``; ``absent``: it was not executed, or failed.
    reasons
        What changed of its code, parameters, packages and inputs, one sentence each. Empty on a step that differs:
        nothing that it depends on has changed, so it does not give the same result twice.
    detail
        Of a step that differs, the first thing in its result that does.
    """

    node: str
    stage: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The verdict in a line for people."""
        if self.outcome in ("equal", "taken"):
            return f"{self.node}: {self.outcome}"
        if self.outcome == "absent":
            return f"{self.node}: {self.detail}"
        cause = "; ".join(self.reasons) or "nothing that it depends on changed: it does not give the same result twice"
        return f"{self.node}: {self.detail or 'another result'} ({cause})"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A model version made again.

    Parameters
    ----------
    model, version
        Which one.
    recorded, repeated
        The run that made it, and the run that repeated it; empty if that one could not begin.
    steps
        The steps in their order.
    commit, unsaved
        The recorded commit, and the project's files that were not as the commit has them, or were in none.
    packages
        Versions of packages that the recorded run had and the repeated one has not: then and now.
    problem
        Why it could not be repeated to the end.
    """

    model: str
    version: int
    recorded: str
    repeated: str
    steps: tuple[StepVerdict, ...]
    commit: str = ""
    unsaved: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, str]] | None = None
    problem: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether every step gave the recorded result, and at least one was done again."""
        outcomes = {step.outcome for step in self.steps}
        return not self.problem and "equal" in outcomes and outcomes <= {"equal", "taken"}

    @property
    def divergence(self) -> StepVerdict | None:
        """The first step that did not give the recorded result."""
        return next((step for step in self.steps if step.outcome in ("different", "absent")), None)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        name = f"{self.model}@{self.version}"
        done = sum(step.outcome == "equal" for step in self.steps)
        if self.is_equal:
            return f"{name} is reproduced: {done} steps done again gave equal results"
        first = self.divergence
        where = f"{name} is not reproduced; {done} steps are equal"
        if first is not None:
            where = f"{where}, and it first diverges at {first.sentence}"
        return f"{where}. {self.problem}".rstrip(". ") if self.problem else where

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return {**asdict(self), "equal": self.is_equal, "sentence": self.sentence}
