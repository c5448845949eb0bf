"""Recording what passes through a detector, from outside and without patching its source."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

Taps = Mapping[str, Sequence[nn.Module]]
"""Modules whose outputs are wanted, by a name: one for each level of the pyramid, or one that runs at every level."""


@contextmanager
def record_outputs(taps: Taps) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the outputs of modules in call order: one entry a level, as a head runs level by level.

    A module that a name gives several times, as the one that all levels share, is recorded once a call.

    A ConvModule's output is the tensor after its activation, which is the hand-over point that the published
    CrossKD results were made with (its code remembers the tensor before an in-place ReLU).
    """
    outputs: dict[str, list[Tensor]] = {name: [] for name in taps}

    def hook(name: str) -> Any:
        return lambda module, args, output: outputs[name].append(output)

    with ExitStack() as stack:
        for name, modules in taps.items():
            for module in dict.fromkeys(modules):
                stack.callback(module.register_forward_hook(hook(name)).remove)
        yield outputs


@contextmanager
def record_results(owner: nn.Module, method: str) -> Iterator[list[Any]]:
    """Collect what ``owner.method(...)`` returns inside the block, so that no work is done twice.

    Dots in ``method`` lead to the parts of ``owner``, as in ``prior_generator.grid_priors``.
    """
    results: list[Any] = []

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        def recording(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            results.append(result)
            return result

        return recording

    with replaced(owner, method, around):
        yield results


@contextmanager
def replaced(
    owner: nn.Module, method: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Call ``around(owner.method)`` in the place of ``owner.method`` inside the block; dots lead to parts."""
    *parts, method = method.split(".")
    holder = attrgetter(".".join(parts))(owner) if parts else owner
    outer = vars(holder).get(method)
    object.__setattr__(holder, method, around(getattr(holder, method)))
    try:
        yield
    finally:
        object.__delattr__(holder, method)
        if outer is not None:
            object.__setattr__(holder, method, outer)
