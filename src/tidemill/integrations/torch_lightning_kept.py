"""Lightning's checkpoints in the store: written after an epoch, in JSON and safetensors instead of a pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tidemill.core.clock import elapsed
from tidemill.core.errors import ModelError
from tidemill.integrations.torch_chance import chance, restore_chance
from tidemill.integrations.torch_state import packed, unpacked
from tidemill.training.checkpoints import Checkpoint

#: What stands for the checkpoint in the store where Lightning asks for the path of a file.
PLACE = "checkpoint of the step"


@dataclass(slots=True)
class Kept:
    """What Lightning's trainer is given; see `kept`.

    Parameters
    ----------
    checkpoint, seconds
        Where it goes, and how often.
    callback, files
        A callback and a plugin of Lightning.
    state
        The state to go on from, if there is one.
    problem
        Why the state of the module cannot be written, which ends the checkpoints but not the training.
    """

    checkpoint: Checkpoint
    seconds: float
    callback: Any = None
    files: Any = None
    state: dict[str, Any] | None = None
    problem: str = ""
    saved: float = field(default_factory=elapsed)

    @property
    def is_there(self) -> bool:
        """Whether there is a state to go on from."""
        return self.state is not None

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state of Lightning's trainer."""
        try:
            data = packed(state)
        except ModelError as error:  # a module may put anything into its checkpoint
            self.problem = str(error)
            return
        self.checkpoint.save(data, {"epoch": int(state["epoch"]) + 1})


def kept(lightning: Any, checkpoint: Checkpoint, seconds: float) -> Kept:
    """Checkpoints of a training with Lightning, every so many seconds, after the epoch that is trained then."""
    data = checkpoint.load()
    found = Kept(checkpoint, seconds, state=None if data is None else unpacked(data))
    found.callback, found.files = _callback(lightning, found), _files(lightning, found)
    return found


def _files(lightning: Any, to: Kept) -> Any:
    class Files(lightning.plugins.TorchCheckpointIO):  # type: ignore[misc]  # of the Lightning in use
        """The store for our checkpoint, and files for those of a module's own callbacks."""

        def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
            """Lightning calls it."""
            if str(path) == PLACE:
                to.save(checkpoint)
            else:
                super().save_checkpoint(checkpoint, path, storage_options)

        def load_checkpoint(self, path: Any, *given: Any, **options: Any) -> Any:
            """Lightning calls it."""
            return to.state if str(path) == PLACE else super().load_checkpoint(path, *given, **options)

    return Files()


def _callback(lightning: Any, to: Kept) -> Any:
    class Stored(lightning.callbacks.Checkpoint):  # type: ignore[misc]  # of the Lightning in use
        """Saves after each epoch, when everybody else has heard of its end."""

        def __init__(self) -> None:
            self.before: dict[str, Any] | None = None
            self.measured: dict[str, float] = {}

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            """Lightning calls it."""
            if not to.problem and elapsed() - to.saved >= to.seconds:
                self.measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
                trainer.save_checkpoint(PLACE)
                to.saved = elapsed()

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            """Before the first epoch that is trained again: what had followed the checkpoint, and what is drawn."""
            if self.before is not None:
                _lower_rates(trainer, module, self.before["measured"])
                restore_chance(self.before["chance"])
                self.before = None

        def state_dict(self) -> dict[str, Any]:
            """For a checkpoint."""
            return {"chance": chance(), "measured": self.measured}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            """From a checkpoint."""
            self.before = state

    return Stored()


def _lower_rates(trainer: Any, module: Any, measured: dict[str, float]) -> None:
    """Schedules that look at a metric are the one thing that Lightning moves after its checkpoints."""
    for schedule in trainer.lr_scheduler_configs:
        due = schedule.interval == "epoch" and trainer.current_epoch % schedule.frequency == 0
        if schedule.reduce_on_plateau and due and schedule.monitor in measured:
            module.lr_scheduler_step(schedule.scheduler, measured[schedule.monitor])
