"""The model card: what a version is for, what it was made from, how good it is and where it is not, from the record.

After "Model Cards for Model Reporting" (Mitchell et al., 2019) and "Datasheets for Datasets" (Gebru et al., 2021). What
was not recorded is said to be not recorded; nothing is made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.clock import from_us
from tidemill.core.errors import ConfigError
from tidemill.core.records import ModelVersion
from tidemill.design.canvas import canvas_of
from tidemill.evaluation import Evaluation, Examination
from tidemill.project import current_project, open_project_store
from tidemill.registry import card_sections, card_text
from tidemill.registry.approval import approvals_of
from tidemill.registry.card_facts import CardFacts
from tidemill.registry.card_parts import CardSection
from tidemill.registry.history import model_history
from tidemill.registry.names import Reference
from tidemill.registry.origins import origins_of
from tidemill.registry.versions import load_package, version_in
from tidemill.store import Store, models


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A card.

    Parameters
    ----------
    title, lead
        The version, and one sentence.
    sections
        Sentences and tables, in order.
    evaluation, examination
        The reports, for a page that draws them.
    """

    title: str
    lead: str
    sections: tuple[CardSection, ...]
    evaluation: Evaluation | None = field(default=None, repr=False)
    examination: Examination | None = field(default=None, repr=False)

    @property
    def markdown(self) -> str:
        """The card as Markdown."""
        return card_text.markdown(self.title, self.lead, self.sections)


def model_card(
    version: ModelVersion | str | Reference, *, store: Store | None = None, canvas: Mapping[str, Any] | None = None
) -> ModelCard:
    """Write the card of a registered version.

    Parameters
    ----------
    version
        The version, or its name, such as ``flight-delay@champion``.
    store
        Where it is registered; the current project's store by default.
    canvas
        The ``[canvas]`` table that says what the model is for; the current project's by default.

    Returns
    -------
    ModelCard
        Its `markdown` is the text; ``tidemill models card --html`` draws the page.

    Raises
    ------
    NotFoundError
        If there is no such version.
    """
    where = store or open_project_store(current_project())
    raw = current_project().canvas if canvas is None and store is None else canvas or {}
    facts = facts_of(where, version, raw)
    signature = facts.package.signature
    when = f"{from_us(facts.version.created_at):%Y-%m-%d}"
    lead = f"A {signature.task} model of {signature.target!r} ({facts.package.framework}), registered on {when}"
    lead += f" by {facts.version.registered_by}." if facts.version.registered_by else "."
    sections = tuple(section for draw in card_sections.SECTIONS if (section := draw(facts)) is not None)
    title = f"{facts.version.model}, version {facts.version.version}"
    return ModelCard(title, lead, sections, facts.evaluation, facts.examination)


def facts_of(store: Store, version: ModelVersion | str | Reference, canvas: Mapping[str, Any]) -> CardFacts:
    """Read all that a card is written from."""
    with store.metadata.reading() as tx:
        found = version_in(tx, version)
        model = models.get_model(tx, found.model)
        aliases = tuple(one.alias for one in models.aliases(tx, found.model) if one.version == found.version)
    try:
        purpose = canvas_of(canvas)
    except ConfigError as error:
        error.add_note("The card tells of the project's canvas.")
        raise
    return CardFacts(
        version=found,
        package=load_package(store, found),
        origins=origins_of(store, found),
        canvas=purpose,
        aliases=aliases,
        approvals=tuple(approvals_of(store, found)),
        events=tuple(model_history(store, Reference(found.model, found.version), limit=30)),
        description=found.description or model.description,
        owner=found.owner or model.owner,
    )
