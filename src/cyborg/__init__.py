"""Train image classifiers with human saliency.

The names in `__all__` are the Python interface, which docs/python.md introduces. Each is imported
when it is first used, so that `import cyborg` takes no time and needs no other package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyborg.common.errors import UserError
    from cyborg.losses._base import Loss, LossOutput, resize_maps
    from cyborg.losses._module import SaliencyLoss, find_loss, list_losses
    from cyborg.losses.cyborg import cyborg_loss
    from cyborg.models.cam import class_activation_map, normalise_maps
    from cyborg.models.network import Network, create_network
    from cyborg.models.trained import load_model
    from cyborg.saliency.annotation import Annotation
    from cyborg.saliency.maps import rasterize
    from cyborg.saliency.read import read_annotations

__all__ = [
    "Annotation",
    "Loss",
    "LossOutput",
    "Network",
    "SaliencyLoss",
    "UserError",
    "class_activation_map",
    "create_network",
    "cyborg_loss",
    "find_loss",
    "list_losses",
    "load_model",
    "normalise_maps",
    "rasterize",
    "read_annotations",
    "resize_maps",
]

# The module that each public name is imported from when it is first used.
_MODULES = {
    "Annotation": "cyborg.saliency.annotation",
    "Loss": "cyborg.losses._base",
    "LossOutput": "cyborg.losses._base",
    "Network": "cyborg.models.network",
    "SaliencyLoss": "cyborg.losses._module",
    "UserError": "cyborg.common.errors",
    "class_activation_map": "cyborg.models.cam",
    "create_network": "cyborg.models.network",
    "cyborg_loss": "cyborg.losses.cyborg",
    "find_loss": "cyborg.losses._module",
    "list_losses": "cyborg.losses._module",
    "load_model": "cyborg.models.trained",
    "normalise_maps": "cyborg.models.cam",
    "rasterize": "cyborg.saliency.maps",
    "read_annotations": "cyborg.saliency.read",
    "resize_maps": "cyborg.losses._base",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module `cyborg` has no attribute `{name}`")
        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, for completion in editors and notebooks."""
    return [*globals(), *(name for name in __all__ if name not in globals())]
