"""`python -m tests.benchmarks [NAME…]`: runs benchmarks, prints a table, writes build/bench.json.

Without names all of bench_*.py, for which this machine is enough. What needs a cluster is in cluster_*.py and
runs where it is named: `cluster` is all of it, `cluster_jobs` one part, and KUBECONFIG says which cluster.
Figures of other runs stay in build/bench.json.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULT = HERE.parents[1] / "build" / "bench.json"


def main(names: list[str]) -> None:
    rows: list[dict[str, object]] = []
    for module in chosen(names):
        print(f"→ {module.removeprefix('bench_')}", flush=True)
        rows += importlib.import_module(f"tests.benchmarks.{module}").measure()
        _keep(rows)
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
    print(f"written to {RESULT.relative_to(Path.cwd())}")


def chosen(names: list[str]) -> list[str]:
    """The modules of these names; of a cluster only where one is named."""
    plain = sorted(path.stem for path in HERE.glob("bench_*.py"))
    cluster = sorted(path.stem for path in HERE.glob("cluster_*.py"))
    if not names:
        return plain
    found = [one for one in plain if one.removeprefix("bench_") in names]
    asked = [one for one in cluster if one in names or "cluster" in names]
    if asked and not os.environ.get("KUBECONFIG"):
        sys.exit("The benchmarks on a cluster need KUBECONFIG: the kubeconfig file of the cluster.")
    return found + asked


def _keep(rows: list[dict[str, object]]) -> None:
    """Write down what was measured so far."""
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([*_others(rows), *rows], indent=1), "utf-8")


def _others(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """What build/bench.json has of figures that this run did not measure."""
    measured = {row["name"] for row in rows}
    known = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else []
    return [row for row in known if row["name"] not in measured]


def _number(value: object) -> str:
    assert isinstance(value, int | float)
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


if __name__ == "__main__":
    main(sys.argv[1:])
