"""Where Python finds ``mmcv._ext`` when no compiled one is installed."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "mmcv._ext"


class ExtensionFinder(MetaPathFinder):
    """Offers :mod:`pipeline.mmcv_ops` as mmcv's extension module.

    It stands last on ``sys.meta_path``: a full mmcv with compiled operators is found before it. Nothing is imported
    until ``mmcv.ops`` asks for the extension.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The stand-in for ``mmcv._ext`` and nothing else."""
        return ModuleSpec(NAME, _StandInLoader()) if fullname == NAME else None


class _StandInLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        from pipeline.mmcv_ops.extension import TorchvisionOps

        return TorchvisionOps(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def provide() -> None:
    """Put the finder on ``sys.meta_path``; calling it again changes nothing."""
    if not any(isinstance(finder, ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(ExtensionFinder())
