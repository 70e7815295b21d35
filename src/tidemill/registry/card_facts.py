"""Everything that a model card is written from."""

from __future__ import annotations

from dataclasses import dataclass

from tidemill.core.records import Approval, AuditEvent, ModelVersion
from tidemill.design.canvas import Canvas
from tidemill.evaluation import Evaluation, Examination
from tidemill.packaging.package import Package
from tidemill.registry.origins import Origins


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What was recorded of a version, and what the project says it is for."""

    version: ModelVersion
    package: Package
    origins: Origins
    canvas: Canvas
    aliases: tuple[str, ...] = ()
    approvals: tuple[tuple[Approval, bool], ...] = ()
    events: tuple[AuditEvent, ...] = ()
    description: str = ""
    owner: str = ""

    @property
    def evaluation(self) -> Evaluation | None:
        """The report on validation rows, where its record was kept."""
        return self.origins.last(Evaluation)

    @property
    def examination(self) -> Examination | None:
        """The report on test rows, where its record was kept."""
        return self.origins.last(Examination)

    @property
    def report(self) -> Evaluation | None:
        """The report on test rows where there is one, else the one on validation rows."""
        examination = self.examination
        return self.evaluation if examination is None else examination.evaluation

    @property
    def by_parts(self) -> Evaluation | None:
        """The report that looks at parts of the rows; the one of the test before the other."""
        reports = (None if self.examination is None else self.examination.evaluation, self.evaluation)
        return next((report for report in reports if report is not None and report.slices), None)
