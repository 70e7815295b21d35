"""A version that takes over, or cannot, must not cost one request; traffic goes only to those who are ready."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sample_models import trained
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

import tidemill as tm
from tidemill.core.errors import ConfigError, CorruptArtifactError, NotFoundError, UsageError
from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving import predictions, start_server
from tidemill.serving.endpoint import Caller
from tidemill.serving.options import ServerOptions
from tidemill.serving.plans import plan_endpoints
from tidemill.serving.repository import Repository
from tidemill.store import Store

PREDICT = "/v1/models/flight-delay/predict"


@pytest.fixture(scope="module")
def other(table: Any) -> Package:
    """Another model of the same question."""
    model = trained(seed=5)
    return tm.package(model, tm.split(table, tm.by_share(), "late").validation)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "tidemill.toml").write_text(
        '[project]\nname = "flights"\n[endpoints.flight-delay]\n'
        'variants = { champion = 75, challenger = 25 }\nshadow = ["candidate"]\n'
    )
    with use_project(load_project(tmp_path)) as project:
        yield project


@pytest.fixture
def store(project: Project, packaged: Package, other: Package) -> Store:
    store = open_project_store(project)
    register_version(store, packaged)
    register_version(store, other)
    promote_version(store, "flight-delay@1")
    return store


def opened(store: Store, project: Project, *names: str, **options: Any) -> Repository:
    log = str(project.root / "log")
    repository = Repository(
        plan_endpoints(names or ["flight-delay"], (), project), ServerOptions(log=log, **options), store
    )
    repository.open()
    return repository


def states(repository: Repository) -> dict[str, tuple[int | None, str, float]]:
    return {one["variant"]: (one["version"], one["state"], one["share"]) for one in repository.index()[0]["variants"]}


def test_traffic_goes_to_those_who_are_ready_and_follows_when_more_are(store: Store, project: Project) -> None:
    repository = opened(store, project)
    assert states(repository) == {
        "champion": (1, "READY", 1.0),
        "challenger": (None, "UNAVAILABLE", 0.0),
        "candidate": (None, "UNAVAILABLE", 0.0),
    }
    promote_version(store, "flight-delay@2", alias="challenger")
    repository.follow()
    assert states(repository)["challenger"] == (2, "READY", 0.25)
    endpoint = repository.endpoints["flight-delay"]
    chosen = Counter(endpoint.choose(Caller(key=f"plane {number}")).name for number in range(4000))
    assert 0.22 < chosen["challenger"] / 4000 < 0.28
    repository.close()


def test_the_servers_log_says_once_who_is_missing_and_the_title_who_answers(
    store: Store, project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tidemill.serving")
    with pytest.raises(NotFoundError, match="canary"):
        opened(store, project, "flight-delay@canary")
    assert caplog.messages == []  # it was raised
    repository = opened(store, project)
    endpoint = repository.endpoints["flight-delay"]
    assert endpoint.title == "flight-delay@champion v1"
    repository.follow()
    who = [message.partition(" yet:")[0] for message in caplog.messages]
    assert who == [f"nobody answers for flight-delay@{alias}" for alias in ("challenger", "candidate")]
    assert {record.levelname for record in caplog.records} == {"INFO"}
    for alias in ("challenger", "candidate"):
        promote_version(store, "flight-delay@2", alias=alias)
    repository.follow()
    assert endpoint.title == "flight-delay (champion v1 75 %, challenger v2 25 %, shadow candidate v2)"
    repository.close()


def test_a_key_and_else_the_first_entity_sticks_to_a_variant(store: Store, project: Project) -> None:
    promote_version(store, "flight-delay@2", alias="challenger")
    endpoint = opened(store, project).endpoints["flight-delay"]
    for plane in ("N14228", "N24211", "N619AA", "N804JB"):
        assert len({endpoint.choose(Caller(key=plane)).name for _ in range(50)}) == 1
        assert endpoint.choose(Caller(entities=[plane])) is endpoint.choose(Caller(key=plane))
    endpoint.close()


def test_a_shadow_is_asked_the_same_and_answers_nobody(store: Store, project: Project, packaged: Package) -> None:
    promote_version(store, "flight-delay@2", alias="candidate")
    repository = opened(store, project)
    endpoint = repository.endpoints["flight-delay"]
    answers = [endpoint.answer([packaged.manifest["example"]]) for _ in range(5)]
    assert {answered.variant.name for answered in answers} == {"champion"}
    repository.close()  # the shadows finish first
    logged = predictions(project.root / "log").collect()
    assert Counter(logged["variant"]) == {"champion": 5, "candidate": 5}
    for request in logged.partition_by("request_id"):
        assert set(request["version"]) == {1, 2}


def test_a_new_champion_takes_over_under_load_without_a_failed_request(
    store: Store, project: Project, packaged: Package
) -> None:
    row = dict(packaged.manifest["example"])
    versions: list[int] = []
    wrong: list[Any] = []
    over = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url) as client:
            while not over.is_set():
                answer = client.post(PREDICT, json={"rows": [row]})
                (versions if answer.status_code == 200 else wrong).append(answer.json()["version"])

    with start_server("flight-delay@champion", project=project.root) as server:
        clients = [threading.Thread(target=ask, args=(server.url,)) for _ in range(3)]
        for client in clients:
            client.start()
        while len(versions) < 100:
            clients[0].join(0.01)
        promote_version(store, "flight-delay@2")
        while versions[-1] != 2:
            clients[0].join(0.01)
        over.set()
        for client in clients:
            client.join()
        assert (
            'model_served{model="flight-delay",variant="champion",version="2"} 1.0'
            in httpx.get(server.url + "/metrics").text
        )
    assert wrong == []
    assert set(versions) == {1, 2}
    logged = predictions(project.hidden / "predictions").collect()
    assert Counter(logged["version"]) == Counter(versions)


def spoil(project: Project) -> None:
    """Change the ends of all stored packages."""
    for blob in (project.hidden / "artifacts").rglob("*"):
        if blob.is_file() and blob.stat().st_size > 20_000:
            blob.chmod(0o644)
            blob.write_bytes(blob.read_bytes()[:-10] + b"0123456789")


def test_whoever_loads_a_corrupt_version_is_told_what_is_wrong_with_it(
    store: Store, project: Project, packaged: Package
) -> None:
    """Not that "the server failed": what it serves goes on, and only the registry can be mended."""
    with (
        start_server("flight-delay@champion", grpc_port=0) as server,
        httpx.Client(base_url=server.url) as client,
        triton.InferenceServerClient(server.grpc) as over_grpc,
    ):
        promote_version(store, "flight-delay@2")
        spoil(project)
        refused = client.post("/v2/repository/models/flight-delay/load")
        assert refused.status_code == 409
        said = refused.json()["error"]
        assert "the blob at" in said
        assert "restore it from a backup" in said
        with pytest.raises(InferenceServerException) as raised:
            over_grpc.load_model("flight-delay")
        assert raised.value.status() == "StatusCode.FAILED_PRECONDITION"
        assert raised.value.message() == said
        answer = client.post(PREDICT, json={"rows": [packaged.manifest["example"]]}).json()
        assert answer["version"] == 1
        assert client.post("/v2/repository/models/flight-delay/unload").status_code == 200
        assert client.post("/v2/repository/models/flight-delay/load").status_code == 409


def test_a_corrupt_new_version_leaves_the_old_one_answering(store: Store, project: Project, packaged: Package) -> None:
    repository = opened(store, project, "flight-delay@champion")
    promote_version(store, "flight-delay@2")
    spoil(project)
    repository.follow()
    (one,) = repository.index()[0]["variants"]
    assert (one["version"], one["state"]) == (1, "READY")
    assert one["reason"] == "CorruptArtifactError: the log of the server says more"
    assert repository.endpoints["flight-delay"].answer([packaged.manifest["example"]]).variant.predictor.version == 1
    repository.close()


def test_the_servers_log_names_the_model_that_keeps_the_server_from_starting(
    store: Store, project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names a file, and a server may have many models."""
    spoil(project)
    with pytest.raises(CorruptArtifactError):
        opened(store, project, "flight-delay@champion")
    assert caplog.messages[0].startswith("flight-delay@champion cannot be opened, nobody answers for it: the blob at")


def test_models_are_loaded_and_unloaded_by_name(store: Store, project: Project) -> None:
    repository = opened(store, project)
    repository.unload("flight-delay")
    assert dict(repository.endpoints) == {}
    with pytest.raises(NotFoundError, match="no such model is served"):
        repository.unload("flight-delay")
    assert repository.load("flight-delay").predictor.version == 1
    assert set(states(repository)) == {"champion", "challenger", "candidate"}  # as it was planned
    promote_version(store, "flight-delay@2")
    assert repository.load("flight-delay").predictor.version == 2
    with pytest.raises(NotFoundError):
        repository.load("weather")
    repository.close()


def test_a_name_that_is_loaded_later_is_served_as_the_project_says(store: Store, project: Project) -> None:
    repository = Repository([], ServerOptions(log=str(project.root / "log")), store, project=project)
    repository.load("flight-delay")
    assert set(states(repository)) == {"champion", "challenger", "candidate"}
    repository.close()


def test_a_folder_that_was_unloaded_can_be_loaded_again(packaged: Package, tmp_path: Path) -> None:
    folder = packaged.write(tmp_path / "model")
    repository = Repository(plan_endpoints([], [folder]), ServerOptions(log=str(tmp_path / "log")))
    repository.open()
    repository.unload("flight-delay")
    assert repository.load("flight-delay").predictor.model == "flight-delay"
    repository.close()


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("variants = { champion = 0 }", "no variant .* has a share"),
        ("variants = { champion = -1 }", "needs variants with shares"),
        ('variants = ["champion"]', "needs variants with shares"),
        ('shadow = ["champion"]', "cannot be a shadow too"),
        ("shadows = []", "Did you mean 'shadow'"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(tmp_path: Path, written: str, complaint: str) -> None:
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "x"\n[endpoints.flight-delay]\n{written}\n')
    with pytest.raises(ConfigError, match=complaint):
        plan_endpoints([], (), load_project(tmp_path))


def test_what_is_served_follows_from_what_is_named(project: Project) -> None:
    assert [one.name for one in plan_endpoints([], (), project)[0].variants] == ["champion", "challenger", "candidate"]
    assert [one.name for one in plan_endpoints(["flight-delay@7"], (), project)[0].variants] == ["v7"]
    with pytest.raises(UsageError, match="served once"):
        plan_endpoints(["flight-delay", "flight-delay@7"], (), project)
