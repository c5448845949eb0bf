"""What the ``data.yaml`` of a YOLO data set says: its classes, and where the images and labels of each split are.

Paths in it do not leave the data set's root, wherever they come from. Three oddities of the wild are taken as people
mean them: a ``path`` that leads to where the set lay on another machine counts for nothing; ``../train/images``, as
Roboflow writes, may mean ``train/images`` beside the file; labels are where ``images`` in a path reads ``labels``, or
beside the images.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.runtime.errors import shown
from deploy.runtime.text_files import UnreadableText, is_whole, read_text
from pipeline.dataset_settings import YoloDirSettings
from pipeline.datasets.findings import Findings
from pipeline.strict_yaml import read_yaml

SECTION = "data.yolo_dir"
SPLITS = ("train", "val", "test")
_LISTS = (".txt", ".names", ".labels")
_IMAGES, _LABELS = "images", "labels"


@dataclass(frozen=True)
class YoloLayout:
    """``names`` are classes by their number, ``splits`` folders and lists of images (.txt) that exist.

    ``keypoints`` is how many numbers follow the box in a row of a data set of poses.
    """

    names: dict[int, str] = field(default_factory=dict)
    splits: dict[str, list[Path]] = field(default_factory=dict)
    keypoints: int = 0


def find_layout(settings: YoloDirSettings, notes: Findings) -> YoloLayout:
    """Read the file of ``settings.config``; what is wrong with it goes to ``notes``, and the rest is returned."""
    path = settings.root / settings.config
    try:
        text = read_text(path)
        is_yaml = path.suffix not in _LISTS
        content = read_yaml(text) if is_yaml else {"names": text.removeprefix("\ufeff").rstrip().splitlines()}
    except UnreadableText as error:
        notes.error("whole file", f"{{}}; check {SECTION}.root and config in params.yaml", error)
        return YoloLayout()
    if not isinstance(content, dict):
        notes.error("whole file", "holds {}, not a mapping with the key names", shown(content))
        return YoloLayout()
    names = _names(content, notes)
    given = {name: value for name in SPLITS if (value := getattr(settings, name)) is not None}
    splits = {}
    for name, value in (given or content).items():
        if name == "valid" and "val" not in content:
            name = "val"
        if name in SPLITS and value not in (None, "", []):
            splits[name] = _places(name, value, settings, content.get("path"), bool(given), notes)
    if splits.get("test") == splits.get("val"):
        splits.pop("test", None)
    if splits.get("train") and splits["train"] == splits.get("val"):
        text = f"is the same as train; name another one, or give {SECTION}.train alone, and splits are made here"
        notes.error("val", text)
    if not splits:
        cure = f"or give the folder of images in params.yaml, for example `{SECTION}.train: {_IMAGES}`"
        notes.error("train", f"names no images; add the key train, {cure}")
    elif "train" not in splits:
        notes.error("train", "there is val or test and no train")
    return YoloLayout(names, {name: places for name, places in splits.items() if places}, _keypoints(content))


def labels_of(folder: Path, root: Path) -> Path:
    """The folder of the labels of the images in ``folder``: where its last part ``images`` is ``labels``, or itself."""
    below = folder.relative_to(root) if folder.is_relative_to(root) else folder
    parts = list(below.parts)
    if _IMAGES not in parts:
        return folder
    last = len(parts) - 1 - parts[::-1].index(_IMAGES)
    labels = Path(*parts[:last], _LABELS, *parts[last + 1 :])
    found = root / labels
    return found if found.is_dir() else folder


def listed_images(path: Path, root: Path, notes: Findings) -> list[Path]:
    """The images that a list names, one a line, relative to the list or to the root; an error for each outside both."""
    try:
        lines = [line.strip() for line in read_text(path).removeprefix("\ufeff").splitlines()]
    except UnreadableText as error:
        notes.error(below(path, root), "{}", error)
        return []
    first = next(filter(None, lines), "")
    # As a whole: where the first is, the others are.
    bases = [base for base in (path.parent, root) if _exists(base / first)] or [path.parent]
    images = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        found = next(filter(None, (_inside(bases[0] / line, allowed) for allowed in (root, path.parent))), None)
        if found is None:
            notes.error(f"{below(path, root)} line {number}", "{} leads out of the data set", shown(line))
        else:
            images.append(found)
    return images


def below(path: Path, root: Path) -> str:
    """A path as the user knows it: from the root on, where it is below that."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def is_list(path: Path) -> bool:
    """Whether this is a list of images, and no folder of them."""
    return path.suffix.lower() == ".txt" and not path.is_dir()


def _names(content: Mapping[str, Any], notes: Findings) -> dict[int, str]:
    given = content.get("names")
    entries: Any = dict(enumerate(given)) if isinstance(given, list) else given
    if not isinstance(entries, dict) or not entries:
        notes.error("names", "needs the classes, as a list or by number, got {}", shown(given))
        return {}
    names: dict[int, str] = {}
    for number, name in entries.items():
        if not is_whole(number) or number < 0:
            notes.error("names", "{} is no number of a class (0, 1, ...)", shown(number))
        elif is_whole(name):
            names[number] = str(name)
        elif not isinstance(name, str):
            notes.error("names", "class {} is {} and no text; put its name in quotes", number, shown(name))
        else:
            names[number] = name.strip()
    count = content.get("nc")
    if count is not None and count != len(entries):
        notes.error("nc", "says {} classes, names has {}; correct one of the two", shown(count), len(entries))
    return names


def _keypoints(content: Mapping[str, Any]) -> int:
    shape = content.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and all(type(side) is int and 0 < side < 10_000 for side in shape):
        return int(shape[0] * shape[1])
    return 0


def _places(
    name: str, value: Any, settings: YoloDirSettings, moved: Any, explicit: bool, notes: Findings
) -> list[Path]:
    places = []
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, str):
            notes.error(name, "needs a folder or a list of images (.txt), or several, got {}", shown(entry))
            continue
        looked = [_given(entry, settings.root)] if explicit else list(_candidates(entry, settings, moved))
        found = next((path for path in looked if _exists(path)), None)
        if found is not None:
            places.append(found)
        elif looked and name == "test" and not explicit:
            # Roboflow writes the key whether or not there is such a split.
            notes.warning(name, "{}: no such folder; taken for a data set without a test split", shown(entry))
        elif looked:
            there = " and ".join(dict.fromkeys(map(str, looked)))
            text = f"{{}}: no such folder; looked for {{}}; check it, or give {SECTION}.{name} in params.yaml"
            notes.error(name, text, shown(entry), there)
        else:
            text = f"{{}} leads out of {{}}; if it is meant, say so in params.yaml with {SECTION}.{name}"
            notes.error(name, text, shown(entry), settings.root)
    return places


def _given(entry: str, root: Path) -> Path:
    """A path of ``params.yaml``, which may lead out of the root: it is absolute then."""
    return _inside(root / entry, root) or Path(os.path.abspath(root / entry))  # noqa: PTH100 (resolve follows links)


def _candidates(entry: str, settings: YoloDirSettings, moved: Any) -> Iterable[Path]:
    """Where an entry of the file may lead, inside the root, the likeliest first."""
    folder = (settings.root / settings.config).parent
    bases = [folder / moved, folder, settings.root] if isinstance(moved, str) else [folder, settings.root]
    for base in bases:
        for way in (entry, entry.removeprefix("../")):
            if (found := _inside(base / way, settings.root)) is not None:
                yield found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _inside(path: Path, root: Path) -> Path | None:
    """The path as one below ``root``, or None; links are the user's own and may lead anywhere."""
    below = os.path.relpath(os.path.abspath(path), os.path.abspath(root))  # noqa: PTH100 (resolve follows links)
    return None if below == ".." or below.startswith("../") or "\0" in below else root / below
