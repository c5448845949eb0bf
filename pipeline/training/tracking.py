"""Trackers: what the training log gets goes to TensorBoard, MLflow, Weights & Biases and DVCLive too, while it trains.

They decide nothing of a training, and none of them ends one that has begun.
"""

import logging
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.visualization.vis_backend import BaseVisBackend

from pipeline.errors import SettingsError
from pipeline.layout import TRACKING
from pipeline.settings import Tracker
from pipeline.training.fingerprint import digits
from pipeline.training.tracking_backends import REWRITTEN, backend_of

logger = logging.getLogger(__name__)

GUIDE = "docs/training.md"


def check_installed(trackers: Sequence[Tracker]) -> None:
    """Refuse a tracker whose package is missing.

    Raises:
        SettingsError: names it and the command that installs it.
    """
    for name in trackers:
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # a folder of that name, as wandb makes one, is no package
            raise SettingsError(
                f"params.yaml: train.trackers has {name!r}, and the package {name} is not installed; install it "
                f"(`{sys.executable} -m pip install {name}`), or take it off the list"
            )


def scalars_of(entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a training log's entry by the names that trackers show."""
    scalars = {f"train/{name}": value for name, value in entry.get("losses", {}).items()}
    if "learning_rate" in entry:
        scalars["train/learning_rate"] = entry["learning_rate"]
    if entry.get("val_ap") is not None:
        scalars["val/ap"] = entry["val_ap"]
    return scalars


class Trackers:
    """The trackers of one training, which its first process alone begins.

    Args:
        names: which.
        model: what is trained.
        work_dir: with the fingerprint of the training, which names its run: a training that goes on after a kill goes
            on in the same one.
    """

    def __init__(self, names: Sequence[Tracker], model: str, work_dir: Path) -> None:
        self._names = names
        self._model = model
        self._work_dir = work_dir
        self._open: dict[Tracker, BaseVisBackend] = {}

    def begin(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Open every tracker.

        Args:
            entries: the training log so far, which those that write files take over whole, so that nothing stands
                there twice or is missing after a kill.

        Raises:
            SettingsError: a tracker cannot begin, for want of a login or a server.
        """
        for name in self._names:
            run = f"{self._model}-{digits(self._work_dir)}"
            backend = backend_of(name, self._model, run)
            rewritten = name in REWRITTEN
            if rewritten:
                shutil.rmtree(TRACKING / name / run, ignore_errors=True)
            try:
                with _nobody_to_ask():
                    _ = backend.experiment  # opened by being looked at
                for entry in entries if rewritten else ():
                    _write(backend, entry)
            except Exception as error:  # anything that a third party's client and its server may say
                raise SettingsError(
                    f"params.yaml: train.trackers has {name!r}, which cannot begin: {error} ({GUIDE})"
                ) from error
            self._open[name] = backend

    def add(self, entry: Mapping[str, Any]) -> None:
        """Give an entry of the training log to every tracker; one that fails is told once and left out from then on."""
        for name, backend in [*self._open.items()]:
            try:
                _write(backend, entry)
            except Exception as error:  # a tracker is not worth a training
                self._leave(name, error)

    def close(self) -> None:
        """Let every tracker write what it still holds."""
        for name, backend in [*self._open.items()]:
            try:
                backend.close()
            except Exception as error:  # the training is done
                self._leave(name, error)
        self._open.clear()

    def _leave(self, name: Tracker, error: Exception) -> None:
        del self._open[name]
        logger.warning("%s: %s has failed and gets nothing more of this run: %s", self._model, name, error)


@contextmanager
def _nobody_to_ask() -> Iterator[None]:
    """Let a client that lacks a login fail, and not wait for an answer: nobody may be at the terminal any more."""
    before, sys.stdin = sys.stdin, StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def _write(backend: BaseVisBackend, entry: Mapping[str, Any]) -> None:
    if scalars := scalars_of(entry):
        backend.add_scalars(scalars, entry["iteration"])
