"""What a model card is made from: one student, its files, and the rungs that they were measured on."""

from dataclasses import dataclass
from pathlib import Path

from deploy.runtime.artefact import ArtefactSpec
from pipeline.deploy_records import ArtefactFile, BackendRun
from pipeline.errors import PipelineError
from pipeline.layout import report_file
from pipeline.report.collect import ModelResults, Results
from pipeline.report.names import data_title, run_title
from pipeline.report.shipping import Candidate, chosen_of


@dataclass(frozen=True)
class MeasuredFile:
    """A file on the rung that stands for it: the one that ships on its own, another on its first that ran."""

    file: ArtefactFile
    run: BackendRun
    ships: bool

    @property
    def name(self) -> str:
        """The file's name, as it stands on the Hub."""
        return Path(self.file.file).name

    @property
    def title(self) -> str:
        """Backend and precision."""
        return run_title(self.run)


@dataclass(frozen=True)
class Card:
    """One student with all that its card says; ``code`` is the commit that the card was written by, where known.

    ``files`` are those of the export and of the stage ``precision``, fp32 first; ``ship`` is null where none was
    measured.
    """

    results: Results
    model: ModelResults
    spec: ArtefactSpec
    files: tuple[ArtefactFile, ...]
    ship: Candidate | None
    code: str | None

    @property
    def data_title(self) -> str:
        """The data set's title."""
        return data_title(self.results)

    @property
    def methods(self) -> list[str]:
        """The distillation methods; none for a twin."""
        method = self.model.evaluation.method
        return [] if method == "none" else method.split("+")

    @property
    def shipped(self) -> ArtefactFile:
        """The file that the card recommends; fp32 where none was measured."""
        precision = self.ship.beside.rung.run.artefact if self.ship else "fp32"
        return next(file for file in self.files if file.precision == precision)

    @property
    def measured(self) -> list[MeasuredFile]:
        """Every file that ran here."""
        found = []
        for file in self.files:
            ships = self.ship is not None and file == self.shipped
            runs = [run for run in self.model.runs if run.status == "ok" and run.artefact == file.precision]
            if run := self.ship.beside.rung.run if self.ship and ships else next(iter(runs), None):
                found.append(MeasuredFile(file, run, ships))
        return found

    @property
    def score(self) -> float | None:
        """From which score on boxes are worth showing."""
        return self.spec.recommended_score


def cards(results: Results, code: str | None) -> list[Card]:
    """A card for every student, the twins included, that was exported.

    Raises:
        ArtefactError: the record of an export holds no specification of an artefact.
        PipelineError: what was measured is none of the files that were made.
    """
    return [_card(results, model, code) for model in results.models[1:] if model.export]


def _card(results: Results, model: ModelResults, code: str | None) -> Card:
    if (export := model.export) is None:
        raise ValueError(f"{model.name} was not exported")
    exported = ArtefactFile(precision="fp32", file=export.file, sha256=export.sha256, file_size=export.file_size)
    made = model.precision.artefacts if model.precision else []
    files = (exported, *(ArtefactFile.model_validate(item.model_dump(exclude={"search"})) for item in made))
    spec, ship = ArtefactSpec.from_metadata(export.metadata, export.file), chosen_of(results, model.name)
    measured = ship.beside.rung.run.artefact if ship else "fp32"
    if measured not in {file.precision for file in files}:
        raise PipelineError(
            f"{report_file('benchmark', model.name)}: measured an artefact in {measured}, of which "
            f"{report_file('precision', model.name)} knows nothing; run `dvc repro` to make both anew"
        )
    return Card(results, model, spec, files, ship, code)
