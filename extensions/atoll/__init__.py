"""Atoll: JupyterHub where stop means saved.

    import atoll

    atoll.datasets()                            # what data may I use?
    atoll.dataset("flights").to_pandas()        # load it
    atoll.submit("report.ipynb").wait()         # run a notebook as a job
    atoll.checkpoint("before the upgrade")      # save this environment

Nothing heavy is imported before the first call.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Final

from atoll import checkpoints, datasets, jobs

if TYPE_CHECKING:
    from atoll.sdk import checkpoint, dataset, job, submit

__version__ = "0.1.0"

__all__ = ["checkpoint", "checkpoints", "dataset", "datasets", "job", "jobs", "submit"]

_LISTS: Final = (checkpoints, datasets, jobs)
_OF_THE_SDK: Final = frozenset(__all__) - {"checkpoints", "datasets", "jobs"}


class _Noun(ModuleType):
    """A capability's package that also lists its things when called: `atoll.datasets()`.

    The import system binds `atoll.datasets` to the package of that name whenever something imports
    it; a function of the same name would be lost. So the package itself is what is called.
    """

    def __call__(self, *args: object, **options: object) -> object:
        return getattr(_sdk(), self.__name__.rpartition(".")[2])(*args, **options)


for _noun in _LISTS:
    _noun.__class__ = _Noun


def _sdk() -> ModuleType:
    from importlib import import_module

    return import_module("atoll.sdk")


def __getattr__(name: str) -> object:
    if name in _OF_THE_SDK:
        found = globals()[name] = getattr(_sdk(), name)
        return found
    raise AttributeError(f"module 'atoll' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
