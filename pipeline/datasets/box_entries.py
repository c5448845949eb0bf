"""The entries of a COCO json's ``annotations`` in columns: 66 bytes each, where objects of Python take 600."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from deploy.runtime.text_files import is_whole

Entry = dict[str, Any]

KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore")
"""What is kept of an entry."""
# An entry's kind in bits: which of its five numbers are whole, whether there is an area, and 0, or the flag plus 1.
_WHOLE = 0b11111
_AREA = 1 << 5
_CROWD = 6
_IGNORE = 8
_FLAG = 0b11
_MOST = 1 << 63
_LARGEST_KIND = (1 << _IGNORE + 2) - 1
_NO_FLAG = _LARGEST_KIND + 1


class BoxEntries(Sequence[Any]):
    """Reads as the list of its entries does, objects with no other keys than ``KEYS``.

    Every value comes back equal and of its type. An entry that does not fit into columns is kept as it is: one that is
    no object, lacks a number, or has one that is no number. Entries that are read are copies.
    """

    def __init__(self, entries: Iterable[object] = ()) -> None:
        self._ids, self._images, self._categories = array("q"), array("q"), array("q")
        self._numbers = array("d")
        self._kinds = array("H")
        self._odd: dict[int, object] = {}
        for entry in entries:
            self.append(entry)

    def append(self, entry: object) -> None:
        """Add ``entry`` at the end."""
        columns = _columns(entry)
        if columns is None:
            self._odd[len(self._kinds)] = _kept(entry)
            columns = _NOTHING
        number, image, category, numbers, kind = columns
        self._ids.append(number)
        self._images.append(image)
        self._categories.append(category)
        self._numbers.extend(numbers)
        self._kinds.append(kind)

    def numbers(self, key: Literal["id", "image_id", "category_id", "iscrowd"]) -> Iterable[int]:
        """This number of each entry, in a tenth of the time that the entries take.

        All of them are objects; one without ``iscrowd`` has 0.
        """
        if self._odd:
            return (entry.get(key, 0) for entry in self)
        if key == "iscrowd":
            return (int(kind >> _CROWD & _FLAG == 2) for kind in self._kinds)
        return {"id": self._ids, "image_id": self._images, "category_id": self._categories}[key]

    def category_ids(self) -> set[int]:
        """The categories that the entries have, whatever else the entries are."""
        if not self._odd:
            return set(self._categories)
        numbers = (entry.get("category_id") for entry in self if isinstance(entry, dict))
        return {number for number in numbers if type(number) is int}

    def renumber_categories(self, order: Mapping[int, int]) -> None:
        """Give each object the category that ``order`` has for its own."""
        self._categories = array("q", (order.get(number, number) for number in self._categories))
        for place, entry in self._odd.items():
            if isinstance(entry, dict) and entry.get("category_id") in order:
                self._odd[place] = {**entry, "category_id": order[entry["category_id"]]}

    def __len__(self) -> int:
        return len(self._kinds)

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        place = range(len(self))[place]
        if place in self._odd:
            return self._odd[place]
        numbers = self._numbers[5 * place : 5 * place + 5]
        return _entry(self._ids[place], self._images[place], self._categories[place], self._kinds[place], *numbers)

    def __setitem__(self, place: int, entry: object) -> None:
        columns, place = _columns(entry), range(len(self))[place]
        if columns is None:
            self._odd[place] = _kept(entry)
            return
        self._odd.pop(place, None)
        self._ids[place], self._images[place], self._categories[place], numbers, self._kinds[place] = columns
        self._numbers[5 * place : 5 * place + 5] = array("d", numbers)

    def __iter__(self) -> Iterator[Any]:
        numbers = iter(self._numbers)
        columns = zip(self._ids, self._images, self._categories, self._kinds, *[numbers] * 5, strict=True)
        if not self._odd:
            for values in columns:
                yield _entry(*values)
            return
        for place, values in enumerate(columns):
            yield self._odd[place] if place in self._odd else _entry(*values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | BoxEntries):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


_Columns = tuple[int, int, int, tuple[float, ...], int]
_NOTHING: _Columns = (0, 0, 0, (0.0,) * 5, 0)


def _columns(entry: object) -> _Columns | None:
    """Id, image, category, the numbers of box and area, and the kind; None for an entry that has not all of them."""
    if not isinstance(entry, dict):
        return None
    number, image, category, box = entry.get("id"), entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not type(number) is type(image) is type(category) is int or not isinstance(box, list) or len(box) != 4:
        return None
    if not -_MOST < number < _MOST or not -_MOST < image < _MOST or not -_MOST < category < _MOST:
        return None
    x, y, w, h = box
    area, kind = entry.get("area", 0.0), _AREA if "area" in entry else 0
    if not type(x) is type(y) is type(w) is type(h) is type(area) is float:
        for place, value in enumerate((x, y, w, h, area)):
            if is_whole(value):
                kind |= 1 << place
            elif type(value) is not float:
                return None
    if "iscrowd" in entry:
        kind |= _flag(entry["iscrowd"]) << _CROWD
    if "ignore" in entry:
        kind |= _flag(entry["ignore"]) << _IGNORE
    return (number, image, category, (x, y, w, h, area), kind) if kind <= _LARGEST_KIND else None


def _flag(value: object) -> int:
    return value + 1 if type(value) is int and value in (0, 1) else _NO_FLAG


def _entry(
    number: int, image: int, category: int, kind: int, x: float, y: float, w: float, h: float, area: float
) -> Entry:
    if kind & _WHOLE:
        x, y, w, h, area = (int(v) if kind >> place & 1 else v for place, v in enumerate((x, y, w, h, area)))
    entry: Entry = {"id": number, "image_id": image, "category_id": category, "bbox": [x, y, w, h]}
    if kind & _AREA:
        entry["area"] = area
    if flag := kind >> _CROWD & _FLAG:
        entry["iscrowd"] = flag - 1
    if flag := kind >> _IGNORE & _FLAG:
        entry["ignore"] = flag - 1
    return entry


def _kept(entry: object) -> object:
    return {key: entry[key] for key in KEYS if key in entry} if isinstance(entry, dict) else entry
