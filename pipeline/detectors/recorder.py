"""Recording what passes through a detector, from outside and without patching its source."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any

from torch import Tensor, nn


@contextmanager
def record_outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the outputs of modules in call order; a head that runs level by level gives one entry a level.

    A ConvModule's output is the tensor after its activation, which is the hand-over point that the published
    CrossKD results were made with (its code remembers the tensor before an in-place ReLU).
    """
    outputs: dict[str, list[Tensor]] = {name: [] for name in modules}

    def hook(name: str) -> Any:
        return lambda module, args, output: outputs[name].append(output)

    with ExitStack() as stack:
        for name, module in modules.items():
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
