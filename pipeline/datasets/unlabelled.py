"""Pictures without boxes: a folder of the user's, and images of train whose boxes are not used.

They are no split: nothing is measured on them. A picture that is in a split already, or looks like one on which is
measured or chosen, is left out, each with a finding. They are of several places, so their ``file_name`` begins at the
folder of the prepared data set.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.runtime.errors import shown
from deploy.runtime.images import SUFFIXES
from pipeline.dataset_settings import EMBEDDED, DataSettings
from pipeline.datasets.annotations import unusable_character
from pipeline.datasets.box_entries import BoxEntries, Entry
from pipeline.datasets.coco import SourceSplit
from pipeline.datasets.findings import Finding, Findings
from pipeline.datasets.folder_listing import RealPaths, files_with
from pipeline.datasets.image_files import ImageFile, inspect, reason_text
from pipeline.datasets.labelled_share import divide_train
from pipeline.datasets.near_duplicates import KnownLooks
from pipeline.datasets.prepared import UNLABELLED
from pipeline.datasets.validation import CheckedSplit, SplitContent

KEY = "data.unlabelled"
_CURE = "correct it in params.yaml, or set it to null"
_MEASURED = "on which is measured or chosen"
_KNOWN = {"train": "which has boxes", UNLABELLED: "which is there already"}

Recorded = Callable[[Path], str]
"""From a folder to the way that leads there from the folder of the prepared data set."""


@dataclass(frozen=True)
class Heap:
    """A folder of pictures without boxes; ``names`` are those below it, ``title`` is what findings call it."""

    folder: Path
    names: list[str]
    title: str


def find_heaps(settings: DataSettings, made: Path | None, out_dir: Path) -> tuple[list[Heap], list[Finding]]:
    """The folders that the settings name; an error for one that cannot be, which names the key, the path and the cure.

    Args:
        settings: name a folder of the user's, or none.
        made: a folder of pictures that were made with the data set.
        out_dir: the prepared data set, which the user's folder must not be part of, or hold.
    """
    heaps = [] if made is None else [Heap(made, files_with(SUFFIXES, made), made.name)]
    notes = Findings(str(settings.unlabelled))
    if settings.unlabelled is not None:
        heaps.append(Heap(settings.unlabelled, _names_in(settings.unlabelled, out_dir, notes), notes.file))
    return heaps, notes.found


def take_unlabelled(
    settings: DataSettings,
    checked: Mapping[str, CheckedSplit],
    sources: Mapping[str, SourceSplit],
    heaps: Sequence[Heap],
    recorded: Recorded,
) -> tuple[dict[str, CheckedSplit], CheckedSplit | None, list[Finding]]:
    """The splits, train with the images that keep their boxes alone, and all pictures without boxes, if there are any.

    Args:
        settings: the share of train that keeps its boxes, and its seed.
        checked: all splits, valid. Those with looks are compared by them.
        sources: where the images of each split are.
        heaps: folders of pictures without boxes.
        recorded: how the record names a folder.
    """
    splits, entries, hashes, findings = dict(checked), [], [], []
    if settings.labelled_share < 1:
        train = sources["train"]
        notes = Findings(train.annotations, train.named)
        share, seed = settings.labelled_share, settings.labelled_seed
        splits["train"], rest = divide_train(checked["train"], share, seed, notes)
        entries += _placed(rest.content["images"], recorded(train.image_root))
        hashes += rest.hashes
        findings += notes.found
    if heaps:
        section = f"{sources['train'].section}.splits.near_duplicates"
        known = _KnownPictures(checked, sources, "" if settings.name in EMBEDDED else f"; {section}: apart keeps it")
        for heap in heaps:
            notes = Findings(heap.title)
            images, found = known.new_ones(heap, notes)
            entries += _placed(images, recorded(heap.folder))
            hashes += found
            findings += notes.found
    if not entries:
        return splits, None, findings
    content: SplitContent = {
        "images": [{**entry, "id": number} for number, entry in enumerate(entries, 1)],
        "annotations": BoxEntries(),
        "categories": checked["train"].content["categories"],
    }
    return splits, CheckedSplit(content, hashes), findings


class _KnownPictures:
    """Knows the pictures of all splits, and those without boxes so far, by file, content and look.

    ``apart`` ends what is said of a picture that is left out for its look.
    """

    def __init__(self, splits: Mapping[str, CheckedSplit], sources: Mapping[str, SourceSplit], apart: str) -> None:
        self._apart = apart
        self._real_paths = RealPaths()
        self._files: dict[str, str] = {}
        self._contents: dict[str, tuple[str, str]] = {}
        looks: list[int] = []
        self._looking: list[tuple[str, str]] = []
        for split, checked in splits.items():
            names = [str(entry["file_name"]) for entry in checked.content["images"]]
            for name, content in zip(names, checked.hashes, strict=True):
                self._files[self._real_paths.of(str(sources[split].image_root / name))] = split
                self._contents.setdefault(content, (split, name))
            if split != "train":
                looks += checked.looks
                self._looking += [(split, name) for name in names[: len(checked.looks)]]
        self._looks = KnownLooks(looks)

    def new_ones(self, heap: Heap, notes: Findings) -> tuple[list[Entry], list[str]]:
        """Name, width and height of each usable picture that is not known yet, and its SHA-256.

        An error where none is left of a heap.
        """
        names = self._not_of_splits(heap, [name for name in heap.names if _is_usable(name, notes)], notes)
        paths = [heap.folder / name for name in names]
        files = inspect(paths, f"checking {heap.title}", with_looks=bool(self._looking))
        readable = [(name, file) for name, file in zip(names, files, strict=True) if isinstance(file, ImageFile)]
        for name, path, file in zip(names, paths, files, strict=True):
            if isinstance(file, str):
                notes.warning(name, f"{reason_text(file, path)}; left out", path)
        alike = self._looks.first_alike([file.look or 0 for _, file in readable])
        images, hashes = [], []
        for (name, file), look in zip(readable, alike, strict=True):
            if not self._is_known(name, file, look, notes):
                images.append({"file_name": name, "width": file.width, "height": file.height})
                hashes.append(file.sha256)
        if heap.names and not images:
            text = f"none of its {{}} pictures is left, each for a reason that is listed; give {KEY} another folder"
            notes.error(KEY, text, len(heap.names))
        return images, hashes

    def _not_of_splits(self, heap: Heap, names: Sequence[str], notes: Findings) -> list[str]:
        """The names of those that are no file of a split; one warning for all that are of one."""
        split_of = {name: self._files.get(self._real_paths.of(str(heap.folder / name))) for name in names}
        for split in dict.fromkeys(filter(None, split_of.values())):
            own = [name for name in names if split_of[name] == split]
            text = f"{{}} files are the images of {split} themselves; left out; the first: {{}}"
            notes.warning(split, text, len(own), own[0])
        return [name for name in names if split_of[name] is None]

    def _is_known(self, name: str, file: ImageFile, look: int | None, notes: Findings) -> bool:
        if file.sha256 in self._contents:
            split, other = self._contents[file.sha256]
            why = _KNOWN.get(split, _MEASURED)
            notes.warning(name, f"has the content of {{}} of {split}, {why}; left out", other)
            return True
        if look is not None:
            split, other = self._looking[look]
            notes.warning(name, f"looks like {{}} of {split}, {_MEASURED}; left out{self._apart}", other)
            return True
        self._contents[file.sha256] = (UNLABELLED, name)
        return False


def _names_in(folder: Path, out_dir: Path, notes: Findings) -> list[str]:
    whole, prepared = folder.resolve(), out_dir.resolve()
    if why := unusable_character(str(folder)):
        notes.error(KEY, "{} cannot be named in a list{}", shown(str(folder)), why)
    elif whole.is_relative_to(prepared) or prepared.is_relative_to(whole):
        notes.error(KEY, f"{{}} holds what this stage writes, or is part of it ({{}}); {_CURE}", folder, out_dir)
    elif not folder.is_dir():
        notes.error(KEY, f"{{}}: no such folder; {_CURE}", folder)
    else:
        try:
            names = files_with(SUFFIXES, folder)
        except OSError as error:
            notes.error(KEY, f"{{}}: cannot be read: {{}}; {_CURE}", error.filename or folder, error.strerror)
            return []
        if not names:
            suffixes = ", ".join(sorted(SUFFIXES))
            notes.error(KEY, f"{{}} holds no picture ({suffixes}), hidden ones aside; {_CURE}", folder)
        return names
    return []


def _is_usable(name: str, notes: Findings) -> bool:
    if why := unusable_character(name):
        notes.warning(shown(name), "cannot be named in a list{}; left out", why)
    return not why


def _placed(images: Iterable[Entry], folder: str) -> list[Entry]:
    """The images with names that begin at the folder of the prepared data set."""
    kept = ("width", "height")
    return [
        {"id": 0, "file_name": (Path(folder) / entry["file_name"]).as_posix(), **{key: entry[key] for key in kept}}
        for entry in images
    ]
