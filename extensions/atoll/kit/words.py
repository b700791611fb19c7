"""Numbers and times as people read them: sizes, durations, how long ago."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_UNITS: Final = (
    ("s", 1, _MINUTE),
    ("min", _MINUTE, _HOUR),
    ("h", _HOUR, _DAY),
    ("d", _DAY, 7 * _DAY),
)


def size(count: int | None) -> str:
    """Bytes, such as `312 MB` (powers of 1000, as disks are sold); `–` where unknown."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """A length of time, such as `0.4 s`, `41 s`, `2:14` or `3:02:14`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    minutes, rest = divmod(whole, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(when: datetime | None, now: datetime | None = None) -> str:
    """How long ago that was, such as `2 h ago`; the date where it is more than a week."""
    if when is None:
        return "–"
    passed = ((now or datetime.now(UTC)) - _aware(when)).total_seconds()
    if passed < 10:
        return "just now"
    for unit, length, most in _UNITS:
        if passed < most:
            return f"{passed / length:.0f} {unit} ago"
    return _aware(when).astimezone().strftime("%Y-%m-%d")


def count(number: int | None, noun: str) -> str:
    """A number of things, such as `1 cell` or `336,776 rows`; `–` where unknown."""
    if number is None:
        return "–"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def retried(failure: str) -> str:
    """A failure's sentence, and that it is tried again."""
    return f"{failure.rstrip()} It is tried again; nothing is lost."


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end (to now where there is no end); None where it never began."""
    if start is None:
        return None
    return max(0.0, (_aware(end or datetime.now(UTC)) - _aware(start)).total_seconds())


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
