"""The parameters cell of a Python notebook, read as a syntax tree: names, defaults, types, comments."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from typing import Final

from pydantic import JsonValue

from atoll.jobs.models import Parameter

_MOST_SOURCE: Final = 1 << 16  # a parameters cell longer than that holds data, not parameters
_MOST: Final = 200  # a form of more is for nobody
_TYPES: Final = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}
_MEANT: Final = {
    "int": (int | float, "a number"),
    "float": (int | float, "a number"),
    "bool": (int | float, "True or False"),
    "list": (list, "a list"),
    "dict": (dict, "a dictionary"),
}
_UNREADABLE: Final = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `ast` raises for source that is none, nests too deep, or holds a null byte."""


def parameters_of(source: str) -> list[Parameter]:
    """What the cell assigns, in its order; nothing where it is not Python that can be read."""
    if len(source) > _MOST_SOURCE:
        return []
    source = _without_magics(source)
    try:
        tree = ast.parse(source)
    except _UNREADABLE:
        return []
    comments = _comments(source)
    lines = source.encode().split(b"\n")
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        like = _parameter(statement, statement.value, lines)
        like.help = comments.get(statement.end_lineno or 0, "")
        for name in _names(statement):
            found.pop(name, None)  # what is assigned last counts
            found[name] = like.model_copy(update={"name": name})
    return list(found.values())[:_MOST]


def unfit(parameter: Parameter, value: JsonValue) -> str | None:
    """What the parameter is, where a value typed on a command line cannot be one; None where it can.

    A default of 1 may be meant as a number of any kind, and nothing is as good as any value.
    """
    if value is None or parameter.type not in _MEANT:
        return None
    kinds, what = _MEANT[parameter.type]
    return None if isinstance(value, kinds) else what


def _names(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    """The plain names that the statement gives its value to."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _parameter(
    statement: ast.Assign | ast.AnnAssign, value: ast.expr, lines: list[bytes]
) -> Parameter:
    """What is assigned, whatever its name."""
    known, default = _literal(value)
    type_ = "other"
    if known:
        type_ = "None" if default is None else _TYPES[type(default)]
    if isinstance(statement, ast.AnnAssign) and type_ in ("None", "other"):
        base = _source(statement.annotation, lines).split("|")[0].split("[")[0].strip()
        type_ = base if base in _TYPES.values() else type_
    return Parameter(name="", default=default, source=_source(value, lines), type=type_)


def _source(node: ast.expr, lines: list[bytes]) -> str:
    """As `ast.get_source_segment`, which splits the whole source each time; columns are bytes."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    piece = lines[first : last + 1]
    piece[-1] = piece[-1][: node.end_col_offset]
    piece[0] = piece[0][node.col_offset :]
    return b"\n".join(piece).decode()


def _literal(value: ast.expr) -> tuple[bool, JsonValue]:
    """(True, the value) where it is a literal that JSON can carry."""
    try:
        found = ast.literal_eval(value)
        if isinstance(found, tuple):
            found = list(found)
        text = json.dumps(found, allow_nan=False)
        if json.loads(text) == found:
            return True, found
    except (TypeError, *_UNREADABLE):
        pass  # computed, or a type of Python's own: it has a source and no value
    return False, None


def _comments(source: str) -> dict[int, str]:
    """Line number → the comment at its end; `# type: …` is none for people."""
    found: dict[int, str] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = token.string.lstrip("# ").strip()
    except (tokenize.TokenError, *_UNREADABLE):
        return {}
    return {line: text for line, text in found.items() if not text.startswith("type:")}


def _without_magics(source: str) -> str:
    """The source with IPython's own lines emptied, so that line numbers stay."""
    return "\n".join(
        "" if line.lstrip().startswith(("%", "!", "?")) else line for line in source.splitlines()
    )
