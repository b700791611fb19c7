"""`python -m tests.benchmarks [NAME…]`: runs bench_*.py, prints a table, writes build/bench.json."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULT = HERE.parents[1] / "build" / "bench.json"


def main(names: list[str]) -> None:
    modules = sorted(path.stem for path in HERE.glob("bench_*.py"))
    chosen = [m for m in modules if not names or m.removeprefix("bench_") in names]
    rows: list[dict[str, object]] = []
    for module in chosen:
        print(f"→ {module.removeprefix('bench_')}", flush=True)
        rows += importlib.import_module(f"tests.benchmarks.{module}").measure()
    table = Table("figure", "ours", "peer", "", "ratio", "goal", "met")
    for row in rows:
        table.add_row(
            str(row["name"]),
            f"{_number(row['ours'])} {row['unit']} {row.get('spread', '')}".rstrip(),
            "" if row["peer"] is None else f"{_number(row['peer'])} {row['unit']}",
            str(row["peer_name"] or ""),
            "" if row["ratio"] is None else f"{_number(row['ratio'])}×",
            str(row["goal"]),
            "yes" if row["met"] else "NO",
        )
    Console(width=140).print(table)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=1), "utf-8")
    print(f"written to {RESULT.relative_to(Path.cwd())}")


def _number(value: object) -> str:
    assert isinstance(value, int | float)
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


if __name__ == "__main__":
    main(sys.argv[1:])
