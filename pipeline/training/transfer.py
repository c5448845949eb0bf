"""What of one detector's weights another one starts from: all that fits, and the rows of classes of the same name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from pipeline.detectors.class_layers import ClassLayer

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Transfer:
    """Weights that a model takes over, by the model's names.

    Attributes:
        tensors: what the model starts from instead of its own initialisation.
        refitted: those of ``tensors`` whose rows were put together by class.
        new: tensors of the model that keep its own initialisation.
        left: tensors of the other detector that the model has no place for.
        carried: classes of the model, in its order, that have rows in the other detector.
    """

    tensors: dict[str, Tensor]
    refitted: list[str]
    new: list[str]
    left: list[str]
    carried: list[str] = field(default_factory=list)


def transfer(
    own: State, given: State, layers: Mapping[str, ClassLayer], names: Sequence[str], classes: Sequence[str]
) -> Transfer:
    """Plan what a model starts from.

    A tensor is taken over where name and shape agree. Of a class layer the rows of each class whose name both know are,
    wherever they lie there, and background's beside them; without such a class, or where the other detector's rows are
    not those of ``names``, the layer stays the model's own.

    Args:
        own: the model's state dict as it was initialised.
        given: the other detector's, by the model's names.
        layers: class layers of the model.
        names: classes of the other detector in the order of its labels; empty where they are not known.
        classes: classes of the model in the order of its labels.
    """
    places = matched(names, classes)
    tensors, refitted = {}, []
    for name in own.keys() & given.keys():
        layer = layers.get(name.rpartition(".")[0])
        if layer is None:
            if own[name].shape == given[name].shape:
                tensors[name] = given[name]
        elif places and _fits(own[name], given[name], layer, len(names)):
            tensors[name] = _refitted(own[name], given[name], layer, len(names), places)
            refitted.append(name)
    return Transfer(
        tensors={name: tensors[name] for name in own if name in tensors},
        refitted=sorted(refitted),
        new=[name for name in own if name not in tensors],
        left=[name for name in given if name not in tensors],
        carried=[classes[label] for label in places] if refitted else [],
    )


def matched(names: Sequence[str], classes: Sequence[str]) -> dict[int, int]:
    """Labels of ``classes`` to those of ``names`` of the same name, without regard to case and outer spaces."""
    labels = {_key(name): label for label, name in reversed([*enumerate(names)])}
    return {label: labels[key] for label, name in enumerate(classes) if (key := _key(name)) in labels}


def classes_of(given: State, layers: Mapping[str, ClassLayer]) -> int | None:
    """How many classes another detector's class layers have rows for; none where it has no such layer, or they differ.

    Args:
        given: its state dict, by the names of the model that ``layers`` is of.
        layers: class layers of the model, whose anchors and background it is taken to have.
    """
    counts = set()
    for name, tensor in given.items():
        if (layer := layers.get(name.rpartition(".")[0])) is not None and tensor.ndim:
            places, rest = divmod(tensor.shape[0], layer.anchors * layer.numbers)
            counts.add(None if rest or places <= layer.background else places - layer.background)
    return counts.pop() if len(counts) == 1 else None


def _key(name: str) -> str:
    return name.strip().casefold()


def _fits(own: Tensor, given: Tensor, layer: ClassLayer, classes: int) -> bool:
    """Whether both have a row where the layer says so, ``classes`` being those of ``given``, and rows of one shape."""
    rows = layer.anchors * (classes + layer.background) * layer.numbers
    return own.shape[:1] == (layer.rows,) and given.shape[:1] == (rows,) and own.shape[1:] == given.shape[1:]


def _refitted(own: Tensor, given: Tensor, layer: ClassLayer, classes: int, places: Mapping[int, int]) -> Tensor:
    result = own.clone()
    by_class = result.view(layer.anchors, layer.classes + layer.background, layer.numbers, *own.shape[1:])
    source = given.reshape(layer.anchors, classes + layer.background, layer.numbers, *given.shape[1:])
    by_class[:, [*places]] = source[:, [*places.values()]].to(own.dtype)
    by_class[:, layer.classes :] = source[:, classes:].to(own.dtype)
    return result
