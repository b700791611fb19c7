"""What a job may use: CPUs, memory and GPUs, as asked for and within the operator's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atoll.jobs.models import ResourceLimits, Resources
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import InvalidError

_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True)
class Size:
    """What a job gets. `memory` as people write it, such as `4G`."""

    cpu: float
    memory: str
    gpu: int = 0


def size_of(asked: Resources, settings: JobSettings) -> Size:
    """What is asked for, completed by the operator's defaults."""
    return Size(asked.cpu or settings.cpu, asked.memory or settings.memory, asked.gpu or 0)


def unused(asked: Resources, settings: JobSettings) -> bool:
    """Whether something was asked for that has no effect, as jobs are processes of one machine."""
    return settings.runner == "local" and any(asked.model_dump().values())


def limits(settings: JobSettings) -> ResourceLimits | None:
    """What may be asked for; None where jobs are processes of one machine, which get what it has."""
    if settings.runner == "local":
        return None
    return ResourceLimits(
        cpu=settings.cpu,
        cpu_most=settings.cpu_most,
        memory=settings.memory,
        memory_most=settings.memory_most,
        gpu_most=settings.gpu_most,
    )


def check(asked: Resources, settings: JobSettings) -> None:
    """Raise InvalidError where more is asked for than the operator allows, naming both."""
    if asked.cpu is not None and asked.cpu > settings.cpu_most:
        raise _too_much(f"{settings.cpu_most:g} CPUs", f"{asked.cpu:g}")
    if asked.memory is not None and in_bytes(asked.memory) > in_bytes(settings.memory_most):
        raise _too_much(f"{settings.memory_most} of memory", asked.memory)
    if asked.gpu and not settings.gpu_most:
        raise InvalidError(
            "Jobs have no GPUs here.",
            hint="An administrator sets jobs.gpu_most where there are any.",
        )
    if asked.gpu and asked.gpu > settings.gpu_most:
        raise _too_much(f"{settings.gpu_most} GPUs", str(asked.gpu))


def in_bytes(text: str) -> int:
    """The bytes that `4G` means, in powers of 1024 as JupyterHub reads it."""
    return int(text[:-1]) * _UNITS[text[-1]]


def _too_much(most: str, asked: str) -> InvalidError:
    return InvalidError(
        f"A job may have {most} at most; {asked} were asked for.",
        hint="Ask for less, or ask an administrator to raise the limit.",
    )
