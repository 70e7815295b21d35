"""What each input adds to an answer of any model, by the permutation explainer of SHAP."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import MissingExtraError
from tidemill.training.frameworks import Matrix, Numbers

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it loads its plots, and these warn of what they use
        from shap import PermutationExplainer
        from shap.maskers import Masker
except ImportError as error:
    raise MissingExtraError("shap", "shap", purpose="contributions to the answers of this model") from error

#: Questions that a model is asked at once, each about every row of the background.
_TOGETHER = 200


class _Inputs(Masker):  # type: ignore[misc]
    """Rows with some inputs of a row and the others of the background; an input is one or more columns."""

    def __init__(self, matrix: Matrix, background: Matrix, inputs: NDArray[np.intp]) -> None:
        self.matrix, self.background, self.inputs = matrix, background, inputs
        self.shape = (len(background), int(inputs.max()) + 1)

    def __call__(self, mask: NDArray[np.bool_], row: Numbers) -> tuple[Matrix]:
        """What the model is asked when the inputs of `mask` are known; `row` holds its place in every field."""
        return (np.where(np.asarray(mask)[self.inputs], self.matrix[int(row[0])], self.background),)


def contributions(
    ask: Callable[[Matrix], Numbers],
    matrix: Matrix,
    background: Matrix,
    inputs: NDArray[np.intp],
    passes: int,
    seed: int,
) -> tuple[Numbers, Numbers]:
    """Contributions of shape (rows, outputs, inputs), and the base of each output, shape (outputs,).

    Parameters
    ----------
    ask
        Answers of shape (rows, outputs).
    matrix, background
        The rows that are explained, and those whose mean answer is the base.
    inputs
        Of which input each column of the matrix is: 0, 1, ….
    passes
        In how many orders, there and back, inputs become known.
    """
    count = int(inputs.max()) + 1
    places = np.repeat(np.arange(len(matrix), dtype=np.float64)[:, None], count, axis=1)
    state: Any = np.random.get_state()  # it seeds NumPy's global generator, and draws from it
    try:
        explainer = PermutationExplainer(ask, _Inputs(matrix, background, inputs), seed=seed)
        found = explainer(places, max_evals=passes * (2 * count + 1), batch_size=_TOGETHER, silent=True)
    finally:
        np.random.set_state(state)
    values = np.asarray(found.values, dtype=np.float64).reshape(len(matrix), count, -1)
    base = np.asarray(found.base_values, dtype=np.float64).reshape(len(matrix), -1)[0]
    return values.transpose(0, 2, 1), base
