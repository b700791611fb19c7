"""The notebook that installs what an environment had over a newer base, compares, and tries it.

It runs as a job of the environment's owner, in the base. Only `REPORT` is read of what it shows.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from atoll.checkpoints.rebase import INSTALL, REMOVE, REPORT

_PARAMETERS: Final = f"{INSTALL} = []\n{REMOVE} = []"

# -P: what lies in the folder where the job starts is no module; the home's packages are none of its
_TOOLS: Final = '''\
import json
import os
import signal
import subprocess
import sys
import threading

quiet = {"PYTHONNOUSERSITE": "1", "PIP_USER": "0", "PIP_NO_INPUT": "1"}


def run(*words, most_s=None):
    """Run Python with these arguments, show what it says; whether it succeeded, and the lines.

    After `most_s` seconds it is ended, with all that it started.
    """
    lines, late = [], threading.Event()
    with subprocess.Popen(
        [sys.executable, "-P", *words],
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=most_s is not None,
    ) as process:

        def end():
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(most_s or 0, end)
        if most_s is not None:
            timer.start()
        for line in process.stdout:
            print(line, end="")
            lines.append(line.rstrip())
        process.wait()
        timer.cancel()
    if late.is_set():
        lines.append(f"not within {most_s} seconds")
    return process.returncode == 0, lines


def pip(*words):
    return run("-m", "pip", *words)


def why(lines):
    """The installer's last words."""
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR: ")


broken_before = pip("check")[1]'''

_INSTALL: Final = """\
failed = {}
if remove:
    pip("uninstall", "--yes", "--", *remove)
if install and not pip("install", "--", *install)[0]:
    print("Not all at once: one after the other.")
    for one in install:
        name = one.partition("==")[0]
        installed, lines = pip("install", "--", one)
        if not installed:
            failed[name] = why(lines)
            if not pip("install", "--", name)[0]:
                print(f"{name} is left out.")"""

_COMPARE: Final = '''\
LOOK = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        one = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        continue
    listed = (one.read_text("top_level.txt") or "").split() or [
        file.parts[0].removesuffix(".py")
        for file in one.files or ()
        if file.suffix == ".py" and (len(file.parts) == 1 or file.parts[1] == "__init__.py")
    ]
    modules = sorted({name for name in listed if name.isidentifier() and not name.startswith("_")})
    found[name] = [one.version, modules]
print("found", json.dumps(found))
"""
names = [*(one.partition("==")[0] for one in install), *remove]
looked, lines = run("-c", LOOK, *names)
found = json.loads(lines[-1].removeprefix("found ")) if looked else {}
broken = [
    line for line in pip("check")[1] if line not in broken_before and "No broken" not in line
][:100]'''

_TRY: Final = """\
most_s = 60  # for each import: some wait for what is not here
works, lines = run("-c", "import ipykernel.kernelapp", most_s=most_s)
assert works, "A kernel does not come up in it: " + (lines or ["no reason given"])[-1]
imports = {}
for name, (version, modules) in found.items():
    for module in modules:
        code = "import importlib, sys; importlib.import_module(sys.argv[1])"
        works, lines = run("-c", code, module, most_s=most_s)
        if not works:
            imports[name] = (lines or ["no reason given"])[-1]"""

_REPORT: Final = f"""\
from IPython.display import display

report = {{
    "installed": {{name: version for name, (version, _) in found.items()}},
    "failed": failed,
    "imports": imports,
    "broken": broken,
}}
display({{"{REPORT}": report, "text/plain": json.dumps(report, indent=1)}}, raw=True)"""


def notebook(source: str) -> dict[str, Any]:
    """The notebook; `source` is how people call what is rebased."""
    cells = [
        _words(
            f"# Rebase of {source}\n\nWhat it has over its base is installed over the newer one,"
            " compared, and tried. What was saved stays as it is."
        ),
        _code(_PARAMETERS, "parameters"),
        _code(_TOOLS),
        _words("## Install"),
        _code(_INSTALL),
        _words("## Compare"),
        _code(_COMPARE),
        _words("## Try"),
        _code(_TRY),
        _code(_REPORT),
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}


def _words(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text, "id": _id(text)}


def _code(text: str, *tags: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)} if tags else {},
        "source": text,
        "id": _id(text),
        "outputs": [],
        "execution_count": None,
    }


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
