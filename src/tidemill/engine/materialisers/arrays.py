"""NumPy arrays as ``.npy`` files."""

from __future__ import annotations

import hashlib
from typing import IO, Any, cast

import numpy as np

from tidemill.core.digests import digest_value
from tidemill.core.errors import MaterialiserError
from tidemill.core.records import Artifact
from tidemill.engine.materialisers.draft import Draft
from tidemill.engine.materialisers.frames import is_open
from tidemill.store.artifacts import ArtifactStore

NAME = "tidemill.engine.materialisers.arrays:ArrayMaterialiser"


class ArrayMaterialiser:
    """Stores NumPy arrays of numbers, truth values, times and fixed-width text; arrays of objects are refused."""

    type = "numpy"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store an array; its digest is that of its type, shape and values, in row-major order, with one NaN."""
        if type(value) is not np.ndarray:
            raise MaterialiserError(
                "a subclass of numpy.ndarray would come back as a plain array",
                value=type(value),
                hint="Return numpy.asarray(value), and a mask or unit as an array of its own.",
            )
        if value.dtype.hasobject:
            raise MaterialiserError(
                "an array of Python objects could only be pickled, and values are never pickled",
                value=value,
                hint="Convert it: array.astype(str) for text, a numeric type for numbers, or return a table or a list.",
            )
        array = np.ascontiguousarray(value).reshape(value.shape)
        with artifacts.writer() as writer:
            np.save(cast("IO[bytes]", writer), array, allow_pickle=False)  # it needs no more than a way to write
        metadata = {"shape": list(value.shape), "dtype": value.dtype.str}
        return Draft(digest_array(array), "numpy", NAME, writer.blob.size, None, writer.blob.digest, metadata)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Any:
        """The array, in memory of its own."""
        kind = annotation if isinstance(annotation, type) else getattr(annotation, "__origin__", None)
        if not is_open(annotation) and isinstance(kind, type) and not issubclass(np.ndarray, kind):
            raise MaterialiserError(
                "a stored NumPy array cannot be given as this type",
                value=annotation,
                hint="Annotate with numpy.ndarray.",
            )
        with artifacts.open(artifact.blob or "") as file:
            try:
                return np.load(file, allow_pickle=False)
            except ValueError as error:
                raise MaterialiserError(
                    f"a stored array cannot be read: {error}", hint="It was not written by Tidemill; do not use it."
                ) from error


def digest_array(array: np.ndarray[Any, Any]) -> str:
    """The digest of an array's type, shape and values.

    >>> digest_array(np.array([1.0, 2.0])) == digest_array(np.array([[1.0, 2.0]]))
    False
    """
    if array.dtype.kind in "fc":
        strange = np.isnan(array)
        if strange.any():
            array = array.copy()
            array[strange] = np.nan
    array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return digest_value(("numpy", np.lib.format.dtype_to_descr(array.dtype), array.shape, _raw(array)))


def _raw(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data if array.size else b"").hexdigest()
