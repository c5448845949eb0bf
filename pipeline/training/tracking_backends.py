"""mmengine's visualisation backends as a training here uses them: its scalars, one run each, and nothing else."""

import os
from pathlib import Path
from typing import Any

from mmengine.visualization.vis_backend import (
    BaseVisBackend,
    DVCLiveVisBackend,
    MLflowVisBackend,
    TensorboardVisBackend,
    WandbVisBackend,
)

from pipeline.layout import TRACKING
from pipeline.settings import Tracker

PROJECT = "detector-distillation"
"""Name of the experiment in MLflow and of the project in Weights & Biases, unless their own variables name another."""
REWRITTEN: tuple[Tracker, ...] = ("tensorboard", "dvclive")
"""Whose runs are files of one training, and written anew from its log when it goes on; the others append to theirs."""


class DVCLiveFiles(DVCLiveVisBackend):
    """Metrics as files: no ``dvc.yaml``, no experiment, no ``dvc add``, nothing for git.

    mmengine's own runs ``dvc init -f``, which deletes the project's cache, where git knows no name, and ``dvc add`` at
    the end.
    """

    def _init_env(self) -> None:
        from dvclive import Live

        self._dvclive = Live(dir=self._save_dir, resume=False, report=None, save_dvc_exp=False, dvcyaml=None)

    def add_scalars(
        self, scalar_dict: dict[str, float], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Log values of a step; the summary is there at once, not at the end alone."""
        super().add_scalars(scalar_dict, step, file_path, **kwargs)
        self._dvclive.make_summary()

    def close(self) -> None:
        """End the run."""
        if hasattr(self, "_dvclive"):
            self._dvclive.end()


class MLflowRun(MLflowVisBackend):
    """Goes on in the run of its name; mmengine's always begins a new one, and uploads a work directory at the end."""

    def __init__(self, save_dir: str, name: str, **more: Any) -> None:
        super().__init__(save_dir, **more)
        self._name = name  # no run_name, for which mmengine begins a new run

    def _init_env(self) -> None:
        super()._init_env()
        found = self._mlflow.search_runs(
            experiment_names=[self._exp_name],
            filter_string=f"attributes.run_name = '{self._name}'",
            max_results=1,
            output_format="list",
        )
        self._mlflow.start_run(**({"run_id": found[0].info.run_id} if found else {"run_name": self._name}))

    def close(self) -> None:
        """End the run."""
        if hasattr(self, "_mlflow"):
            self._mlflow.end_run()


class WandbRun(WandbVisBackend):
    """Plots over the training's iterations; mmengine's over the number of calls."""

    def add_scalars(
        self, scalar_dict: dict[str, float], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Log values of a step."""
        super().add_scalars({**scalar_dict, "iteration": step}, step, file_path, **kwargs)


def backend_of(tracker: Tracker, model: str, run: str) -> BaseVisBackend:
    """The backend of a tracker, which opens nothing before it is used.

    Args:
        model: what is trained.
        run: name of the run, one for each training; the same name is the same run.
    """
    folder = (TRACKING / tracker).absolute()
    if tracker == "tensorboard":
        return TensorboardVisBackend(str(folder / run))
    if tracker == "dvclive":
        return DVCLiveFiles(str(folder / run))
    if tracker == "mlflow":
        return _mlflow(folder, run)
    init = {"project": os.environ.get("WANDB_PROJECT", PROJECT), "group": model, "name": run, "id": run}
    return WandbRun(
        str(folder.parent),  # wandb makes a folder of its own name in it
        init_kwargs={**init, "resume": "allow"},
        define_metric_cfg=[{"name": "iteration"}, {"name": "*", "step_metric": "iteration"}],
    )


def _mlflow(folder: Path, run: str) -> MLflowRun:
    # A data base: MLflow refuses folders from 3 on, unless it is told otherwise.
    return MLflowRun(
        str(folder),
        run,
        exp_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}"),
    )
