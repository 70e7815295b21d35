"""The metadata contract on every database: if one of these failed, a team could not move to its own server."""

from __future__ import annotations

import pytest

from tidemill.store import migrations
from tidemill.store.database import connect
from tidemill.testing import metadata_contract


@pytest.fixture
def database(metadata_url):
    database = connect(metadata_url)
    database.create(migrations.build)
    yield database
    database.close()


@pytest.mark.parametrize("check", metadata_contract.CHECKS, ids=lambda check: check.__name__)
def test_metadata_contract(database, check):
    check(database)
