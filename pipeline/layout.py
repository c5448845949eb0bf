"""Where the stages put their results: one place for every path, relative to the project's root."""

from pathlib import Path

CACHE = Path(".cache/downloads")
SOURCE_FILES = Path("build/source_files.json")
DATASET = Path("data/prepared")
DATASET_RECORD = DATASET / "dataset.json"
LABELS = Path("data/labels")
LABELS_RECORD = LABELS / "labels.json"
PSEUDO_LABELS = LABELS / "pseudo_labels.json"
RECIPES = Path("build/recipes")
MODELS = Path("models")
ARTEFACTS = Path("artefacts")
REPORTS = Path("reports")
WORK_DIRS = Path("work_dirs")
TRACKING = Path("tracking")
CHOICE = Path("build/choice")
RUNNING = Path("build/running")
STAGE_TIMES = Path("build/stage_times.json")
COMPARISON = REPORTS / "comparison.json"
CHOSEN = REPORTS / "chosen.json"
METRICS = REPORTS / "metrics.json"
SUMMARY = REPORTS / "summary.txt"
PRECISION_RECALL = REPORTS / "precision_recall.csv"
TRADE_OFF = REPORTS / "trade_off.csv"
CARDS = REPORTS / "cards"
DEVICE = REPORTS / "device.json"
TIMING_CACHES = Path(".cache/tensorrt")

TEACHER = "teacher"


def recipe_file(model: str) -> Path:
    """The resolved recipe of a model."""
    return RECIPES / f"{model}.json"


def origin_file(recipe: Path) -> Path:
    """Where the origin of a resolved recipe is, beside it."""
    return recipe.with_name(f"{recipe.stem}.origin.json")


def weights_file(model: str) -> Path:
    """The weights of a trained model: the student alone."""
    return MODELS / model / "weights.safetensors"


def training_file(model: str) -> Path:
    """The training record of a model; a fetched teacher may have none."""
    return MODELS / model / "training.json"


def losses_file(model: str) -> Path:
    """The training losses of a model, for ``dvc plots``; without a row for a teacher that was fetched."""
    return REPORTS / "losses" / f"{model}.csv"


def validation_file(model: str) -> Path:
    """The accuracy of a model on the val split during training, for ``dvc plots``, as :func:`losses_file`."""
    return REPORTS / "validation" / f"{model}.csv"


def accepted_file(model: str) -> Path:
    """Says that a model passed its accuracy gate: holds the hash of its weights and nothing else."""
    return MODELS / f"{model}.accepted"


def artefact_file(model: str, precision: str = "fp32") -> Path:
    """The ONNX file of a model; fp32 is the exported one, the others are made from it."""
    return ARTEFACTS / (f"{model}.onnx" if precision == "fp32" else f"{model}.{precision}.onnx")


def card_file(model: str) -> Path:
    """The model card of a student; its record, :func:`report_file` of ``cards``, stands beside it."""
    return CARDS / f"{model}.md"


def engine_dir(model: str) -> Path:
    """The TensorRT engines of a model, where ``deploy.runtime.engine_file.engine_of`` looks; empty without a GPU."""
    return ARTEFACTS / "engines" / model


def report_file(stage: str, model: str) -> Path:
    """The record that a stage wrote about a model."""
    return REPORTS / stage / f"{model}.json"
