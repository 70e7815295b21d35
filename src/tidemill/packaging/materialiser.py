"""Models and packages as artifacts: a folder in one deterministic archive, so that equal models have equal digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.core.errors import MaterialiserError
from tidemill.core.model import Model
from tidemill.core.records import Artifact
from tidemill.engine.materialisers import Draft
from tidemill.packaging.package import Package, model_of, native_package, open_members
from tidemill.packaging.zips import read_zip, write_zip
from tidemill.store.artifacts import ArtifactStore


class PackageMaterialiser:
    """A `Package` as an archive of its folder."""

    type = "package"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store the archive; the digest is `Package.digest`."""
        if not isinstance(value, Package):
            raise MaterialiserError("this is not a package", value=value, hint="Return what tm.package returned.")
        return _save(value, self.type, "tidemill.packaging.materialiser:PackageMaterialiser", artifacts)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Package:
        """Read the archive and verify every digest in it."""
        del annotation
        return _load(artifact, artifacts)


class ModelMaterialiser:
    """A `Model` as an archive of its folder with the native format only; never a pickle."""

    type = "model"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store the archive."""
        if not isinstance(value, Model):
            raise MaterialiserError("this is not a model", value=value, hint="Return what tm.train returned.")
        return _save(native_package(value), self.type, "tidemill.packaging.materialiser:ModelMaterialiser", artifacts)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Model:
        """The model, its estimator read from the native file."""
        del annotation
        return model_of(_load(artifact, artifacts))


def _save(package: Package, kind: str, materialiser: str, artifacts: ArtifactStore) -> Draft:
    blob = artifacts.put(write_zip(package.members(), level=1))  # known by the digest of its content
    return Draft(
        digest=package.digest,
        type=kind,
        materialiser=materialiser,
        size=blob.size,
        inline=None,
        blob=blob.digest,
        metadata=_metadata(package),
    )


def _load(artifact: Artifact | Draft, artifacts: ArtifactStore) -> Package:
    if artifact.blob is None:
        raise MaterialiserError(
            "a model artifact has no stored bytes", value=artifact.digest, hint="Run its step again."
        )
    return open_members(
        read_zip(artifacts.read(artifact.blob)), f"artifact {artifact.digest[:12]}", digest=artifact.digest
    )


def _metadata(package: Package) -> Mapping[str, Any]:
    manifest = package.manifest
    return {
        "name": package.name,
        "framework": package.framework,
        "task": manifest["signature"]["task"],
        "target": manifest["signature"]["target"],
        "classes": manifest["signature"]["classes"],
        "metrics": manifest["metrics"],
        **{part: manifest[part] for part in ("engines", "parity") if part in manifest},
    }
