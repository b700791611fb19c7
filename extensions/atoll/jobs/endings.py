"""How jobs end that say no last word themselves, in words: for the service and for their processes."""

from __future__ import annotations


def out_of_memory(cell: int, memory: str) -> str:
    """That it was killed for its memory; `memory` is the limit, such as 4G, where it is known."""
    limit = f" of {memory}" if memory else ""
    where = f" in cell {cell}" if cell else ""
    return (
        f"It used more than its memory limit{limit}{where} and was killed. Ask for more memory, or"
        " have it hold less data at a time."
    )


def vanished(cell: int) -> str:
    """That its process is gone."""
    where = f" in cell {cell}" if cell else ""
    return (
        f"The job's process vanished{where} without a word: it was killed, or the machine went"
        " down. What it printed and computed until then is kept."
    )
