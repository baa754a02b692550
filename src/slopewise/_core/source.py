"""Where in the user's code something happened, found when an error is made.

Invariant: nothing here is kept alive: a place is a code object and an instruction offset. Names
come from the source text, when there is any; without it (a REPL) a message falls back to shapes.
It is separate because only error messages and explanations need it, and it must never raise.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from slopewise._core.value import Value

if TYPE_CHECKING:
    import ast

_PACKAGE = str(Path(__file__).resolve().parent.parent)
Place = tuple[CodeType, int]


@dataclass(frozen=True)
class Spot:
    """A source position: file, line, the text of the line, and the expression that ran."""

    file: str
    line: int
    text: str
    expression: str

    def __str__(self) -> str:
        where = f"{Path(self.file).name if not self.file.startswith('<') else self.file}"
        shown = f": `{self.text}`" if self.text else ""
        return f"{where}, line {self.line}{shown}"


def user_frame() -> FrameType | None:
    """Return the nearest caller's frame outside this package."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def locate(place: Place) -> Spot:
    """Return the source position of a code object and instruction offset."""
    code, lasti = place
    positions = next(islice(code.co_positions(), max(lasti, 0) // 2, None), None)
    line = end_line = column = end_column = None
    if positions is not None:
        line, end_line, column, end_column = positions
    line = line or code.co_firstlineno
    text = linecache.getline(code.co_filename, line).strip()
    expression = ""
    if column is not None and end_column is not None and end_line is not None:
        lines = [
            linecache.getline(code.co_filename, n).rstrip("\n").encode()
            for n in range(line, end_line + 1)
        ]
        if lines and lines[0]:
            lines[-1] = lines[-1][:end_column]
            lines[0] = lines[0][column:]
            expression = b"\n".join(lines).decode(errors="replace")
    return Spot(code.co_filename, line, text, expression)


def operand_names(expression: str) -> list[str]:
    """Return the source text of the operands of the expression that ran."""
    import ast  # only an error needs it

    try:
        tree: ast.AST = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return []
    parts: list[ast.expr] = []
    if isinstance(tree, ast.BinOp):
        parts = [tree.left, tree.right]
    elif isinstance(tree, ast.UnaryOp):
        parts = [tree.operand]
    elif isinstance(tree, ast.Compare):
        parts = [tree.left, *tree.comparators]
    elif isinstance(tree, ast.Subscript):
        parts = [tree.value]
    elif isinstance(tree, ast.Call):
        if isinstance(tree.func, ast.Attribute):
            parts = [tree.func.value]
        parts += tree.args
        parts += [k.value for k in tree.keywords]
    return [ast.unparse(p) for p in parts]


def name_values(frame: FrameType, values: tuple[Any, ...]) -> list[str]:
    """Return the user's expression for each Value, or its shape where it has none."""
    names: list[str] = []
    spot = locate((frame.f_code, frame.f_lasti))
    candidates = operand_names(spot.expression)
    known: dict[int, str] = {}
    for scope in (frame.f_globals, frame.f_locals):
        for name, bound in list(scope.items()):
            if isinstance(bound, Value) and not name.startswith("_"):
                known[id(bound)] = name
    tensors = [c for c in candidates if not _is_literal(c)]
    unnamed = iter([c for c in tensors if not c.isidentifier()])
    for value in values:
        name = known.get(id(value))
        if name is None:
            name = next(unnamed, "")
            if name in ("torch", "sw", "F", "np"):
                name = next(unnamed, "")
        names.append(name)
    return names


def _is_literal(text: str) -> bool:
    import ast  # only an error needs it

    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def explain(message: str, operands: tuple[Any, ...] = ()) -> str:
    """Return `message` with the operands' names and shapes and the user's source line."""
    if "\n  at " in message:
        return message
    try:
        frame = user_frame()
        if frame is None:
            return message
        values = tuple(x for x in operands if isinstance(x, Value))
        names = name_values(frame, values)
        described = [
            f"`{name}` has shape {tuple(v.shape)} and dtype {v.dtype}"
            if name
            else f"operand {i} has shape {tuple(v.shape)} and dtype {v.dtype}"
            for i, (name, v) in enumerate(zip(names, values, strict=True))
        ]
        spot = locate((frame.f_code, frame.f_lasti))
        details = f"\n  at {spot}"
        if described:
            details += "\n  where " + ", ".join(described)
        return message + details
    except Exception:
        return message


def _scope_statements(frame: FrameType) -> list[ast.stmt]:
    """Return the statements of the function (or module) that the frame runs."""
    import ast  # only an error needs it

    source = "".join(linecache.getlines(frame.f_code.co_filename))
    tree = ast.parse(source)
    if frame.f_code.co_name == "<module>":
        return tree.body
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name == frame.f_code.co_name
            and node.lineno <= frame.f_lineno <= (node.end_lineno or node.lineno)
        ):
            return node.body
    return tree.body


def _assignments(statements: list[ast.stmt], before: int) -> Iterator[tuple[str, ast.Assign]]:
    import ast  # only an error needs it

    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign) and node.lineno <= before:
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, node


def find_constants(frame: FrameType, result: Value) -> list[tuple[str, int, str]]:
    """Return the float variables that `result` was computed from: name, line, statement.

    The result has no recorded history, so its assignment is followed back through the source.
    """
    import ast  # only an error needs it

    try:
        statements = _scope_statements(frame)
        assigned = dict(sorted(_assignments(statements, frame.f_lineno), key=lambda a: a[1].lineno))
    except (SyntaxError, ValueError, OSError):
        return []
    scope = {**frame.f_globals, **frame.f_locals}
    spot = locate((frame.f_code, frame.f_lasti))
    operands = operand_names(spot.expression)
    pending = [n for n in operands if scope.get(n) is result]
    if not pending and operands:
        # The result has no name of its own: ((w - 3) ** 2).backward().
        inner = ast.walk(ast.parse(operands[0], mode="eval"))
        pending = [n.id for n in inner if isinstance(n, ast.Name)]
        pending = [n for n in pending if isinstance(scope.get(n), Value)]
    pending = pending or [n for n, v in frame.f_locals.items() if v is result]
    found: list[tuple[str, int, str]] = []
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        statement = assigned.get(name)
        if statement is None:
            continue
        inner = [n.id for n in ast.walk(statement.value) if isinstance(n, ast.Name)]
        sources = [n for n in inner if isinstance(scope.get(n), Value) and n != name]
        bound = scope.get(name)
        if sources:
            pending.extend(sources)
        elif isinstance(bound, Value) and bound.dtype.kind == "f" and not bound._requires_grad:
            text = linecache.getline(frame.f_code.co_filename, statement.lineno).strip()
            found.append((name, statement.lineno, text))
    return sorted(found, key=lambda f: f[1])
