"""Estimators that worker processes can find by name."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


class Cut:
    """Calls everything above the cut malignant."""

    def __init__(self, cut, **_):
        self.cut = cut

    def fit(self, matrix, truth):
        return self

    def predict(self, matrix):
        return matrix[:, 3] > self.cut


def cut(params):
    return Cut(**params)


def dying(params):
    """The system kills the process of every trial beyond 1500."""
    if params["cut"] > 1500:
        os.kill(os.getpid(), signal.SIGKILL)
    return Cut(**params)


def failing(params):
    if params["cut"] > 1500:
        raise ValueError("too far")
    return Cut(**params)


def alone(params):
    """Notes which process it is, and on how many threads it may work."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\n")
    return Cut(**params)


def stopping(params):
    """From its third trial on it stops the study by one signal to its process, and waits for its own end."""
    notes, number = Path(os.environ["NOTES"]), os.environ["SIGNAL"]
    with notes.open("a") as written:
        written.write("begun\n")
    if len(notes.read_text().splitlines()) > 2:
        with suppress(FileExistsError):  # of two trials at once one sends it: a second signal would meet no study
            notes.with_suffix(f".{number}").touch(exist_ok=False)
            os.kill(int(os.environ["STUDY"]), int(number))
        signal.pause()
    return Cut(**params)


class Learning(Cut):
    """Gets better from epoch to epoch, towards what its cut is worth, and says so."""

    def fit(self, matrix, truth, report=None):
        self.epochs = 0
        for epoch in range(10):
            self.epochs += 1
            if report is not None:
                report(((matrix[:, 3] > self.cut) == truth).mean() * (epoch + 1) / 10, epoch)
        return self


def learning(params):
    return Learning(**params)
