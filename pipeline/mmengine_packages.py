"""Where mmengine finds installed packages, for recipes that inherit ``mmdet::...``.

mmengine 0.10 asks ``pkg_resources``, which setuptools 82 no longer has; the standard library knows as much.
"""

from importlib.util import find_spec
from pathlib import Path

import mmengine.config.config as mmengine_config
from mmengine.config.utils import _get_external_cfg_base_path


def installed_path(package: str) -> str:
    """The folder of an installed package; raises ``ModuleNotFoundError`` when there is none."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return str(Path(spec.origin).parent)


def is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    return find_spec(package) is not None


def provide() -> None:
    """Let mmengine's configurations ask the functions above, and find a package's files without its index.

    For each ``mmdet::...`` mmengine reads the 102 files of mmdet's model index and looks for a name without its suffix,
    which no entry has (each names a file); what it takes then is the file of that name beside the index.
    """
    mmengine_config.get_installed_path = installed_path
    mmengine_config.is_installed = is_installed
    mmengine_config._get_external_cfg_path = _get_external_cfg_base_path
