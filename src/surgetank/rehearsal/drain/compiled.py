"""The laws of `control`, compiled by Numba: the same functions, from the same source.

A law is a state (a NamedTuple of numbers) and module functions over it. Numba compiles them as they
stand but for a few things, which are rewritten in the syntax tree: `state._replace(a=b)` becomes a
call that builds the state anew, arguments by keyword become arguments by position, annotations go,
and `**` becomes a call of the C library's `pow`, which is what Python calls. LLVM would know better
and take `exp2` for a power of two, whose last bit may differ. So the compiled law and the plain one
agree bit by bit; a test holds that.

What the world calls is one function for each law, over rows of floats, so that the world itself is
compiled once for all laws. An int in a row is exact up to 2**53.
"""

import ast
import ctypes
import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numba import cfunc, float64, njit, void
from numpy.typing import NDArray

from surgetank.control.evidence import Interval

ROW = float64[::1]
FOLLOW = void(ROW, ROW, ROW)
"""Of `follow(state, event, parameters)`: changes the state in place."""
ADMIT = float64(ROW, ROW, float64)
RECORD = float64(ROW, ROW, float64, float64, float64)
OPENED, CLOSED = -1.0, -2.0
"""In place of an interval's span: the breaker opened or closed."""
FIELDS_MAX = 512
"""Numbers in a state; a history of a few dozen intervals fits."""
_HOME = "surgetank.control"
_POWER = "_power"


def row(value: tuple[Any, ...]) -> NDArray[np.float64]:
    """Put a NamedTuple of numbers, and of tuples of numbers, in a row."""
    return np.array([float(one) for part in value for one in _flat(part)], dtype=np.float64)


def compile_law(
    state: tuple[Any, ...],
    parameters: tuple[Any, ...],
    *,
    step: Callable[..., Any],
    opened: Callable[..., Any],
    closed: Callable[..., Any],
) -> Any:
    """Compile a law's three functions into one.

    Args:
        state: An example, whose types are those of every state.
        parameters: Those that the law is played with; an example too.
        step: `step(state, interval, p)`.
        opened: `opened(state, p, *, now)`.
        closed: `closed(state, p, *, probes, now)`.
    """
    compiler = _Compiler(type(state))
    names = {
        "State": type(state),
        "Parameters": type(parameters),
        "Interval": Interval,
        "step": compiler.compile(step),
        "opened": compiler.compile(opened),
        "closed": compiler.compile(closed),
    }
    source = f"""
def follow(s, e, q):
    p = Parameters({_unpack("q", parameters)})
    state = State({_unpack("s", state)})
    if e[1] == {OPENED}:
        after = opened(state, p, e[0])
    elif e[1] == {CLOSED}:
        after = closed(state, p, int(e[2]), e[0])
    else:
        after = step(state, Interval({_unpack("e", _interval())}), p)
{_pack("s", "after", state)}
"""
    return cfunc(FOLLOW)(_defined("follow", source, names))


def compile_breaker(
    state: tuple[Any, ...],
    parameters: tuple[Any, ...],
    *,
    admit: Callable[..., Any],
    record: Callable[..., Any],
) -> tuple[Any, Any]:
    """Compile a breaker's two functions, over rows as a law's."""
    compiler = _Compiler(type(state))
    names = {
        "State": type(state),
        "Parameters": type(parameters),
        "admit": compiler.compile(admit),
        "record": compiler.compile(record),
    }
    taken = f"""
def admit_row(s, q, now):
    p = Parameters({_unpack("q", parameters)})
    state = State({_unpack("s", state)})
    after, epoch = admit(state, p, now)
{_pack("s", "after", state)}
    return float(epoch)
"""
    told = f"""
def record_row(s, q, epoch, is_failure, now):
    p = Parameters({_unpack("q", parameters)})
    state = State({_unpack("s", state)})
    after = record(state, p, int(epoch), is_failure > 0.0, False, now, -np.inf)
{_pack("s", "after", state)}
    return 1.0 if after.phase != state.phase else 0.0
"""
    admit_row = cfunc(ADMIT)(_defined("admit_row", taken, names))
    return admit_row, cfunc(RECORD)(_defined("record_row", told, {**names, "np": np}))


class _Compiler:
    """Compiles functions of `control` over one kind of state."""

    def __init__(self, state: type) -> None:
        self._state = state
        self._done: dict[FunctionType, Any] = {}

    def compile(self, function: Any) -> Any:
        """Compile a function and, first, all of `control` that it calls."""
        if function in self._done:
            return self._done[function]
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        (definition,) = tree.body
        assert isinstance(definition, ast.FunctionDef), "a law is made of plain functions"
        rewriter = _Rewriter(definition)
        names = dict(function.__globals__)
        for name in rewriter.names:
            callee = names.get(name)
            if isinstance(callee, FunctionType) and callee.__module__.startswith(_HOME):
                names[name] = self.compile(callee)
        names[_POWER] = _power()
        for name, changed in rewriter.makers.items():
            names[name] = self._maker(name, changed)
        ast.fix_missing_locations(tree)
        exec(compile(tree, inspect.getfile(function), "exec"), names)  # noqa: S102 - our own source
        self._done[function] = njit(names[function.__name__])
        return self._done[function]

    def _maker(self, name: str, changed: tuple[str, ...]) -> Any:
        names = _names(self._state)
        values = ", ".join(one if one in changed else f"state.{one}" for one in names)
        source = f"def {name}(state, {', '.join(changed)}):\n    return State({values})"
        return njit(_defined(name, source, {"State": self._state}))


class _Rewriter(ast.NodeTransformer):
    """Makes a function's tree such that Numba takes it, and notes what it calls."""

    def __init__(self, definition: ast.FunctionDef) -> None:
        self.names: set[str] = set()
        self.makers: dict[str, tuple[str, ...]] = {}
        definition.decorator_list, definition.returns = [], None
        self._order(definition.args)
        if isinstance(definition.body[0], ast.Expr):
            definition.body = definition.body[1:]  # its docstring
        self.visit(definition)

    def _order(self, args: ast.arguments) -> None:
        defaults = [one for one in args.kw_defaults if one is not None]
        assert len(defaults) in (0, 1), "at most the last argument has a default"
        args.args, args.kwonlyargs = [*args.args, *args.kwonlyargs], []
        args.defaults, args.kw_defaults = [*args.defaults, *defaults], []
        for one in args.args:
            one.annotation = None

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Note a name."""
        self.names.add(node.id)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Make a change of the state a call of its maker."""
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(value=state, attr="_replace"):
                changed = tuple(str(one.arg) for one in node.keywords)
                name = "_with_" + "_and_".join(changed)
                self.makers[name] = changed
                values = [one.value for one in node.keywords]
                return ast.Call(ast.Name(name, ast.Load()), [state, *values], [])
            case _:
                return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Make a power a call."""
        self.generic_visit(node)
        return _call_power(node.left, node.right) if isinstance(node.op, ast.Pow) else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """Make a power in place an assignment of a call."""
        self.generic_visit(node)
        if not (isinstance(node.op, ast.Pow) and isinstance(node.target, ast.Name)):
            return node
        power = _call_power(ast.Name(node.target.id, ast.Load()), node.value)
        return ast.Assign([node.target], power)


def _call_power(base: ast.expr, exponent: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(_POWER, ast.Load()), [base, exponent], [])


def _power() -> Any:
    """The C library's `pow`, by its address: LLVM does not know it for what it is."""
    power = ctypes.CDLL(None).pow
    power.argtypes, power.restype = [ctypes.c_double, ctypes.c_double], ctypes.c_double
    return power


def _interval() -> Interval:
    kinds = {"int": 0, int: 0}
    return Interval(*(kinds.get(kind, 0.0) for kind in Interval.__annotations__.values()))  # type: ignore[arg-type]  # zeros of the right kinds


def _unpack(source: str, example: tuple[Any, ...]) -> str:
    """Write the arguments that build a NamedTuple like `example` from a row."""
    parts: list[str] = []
    at = 0
    for value in example:
        numbers = list(_flat(value))
        read = [
            f"int({source}[{at + offset}])" if isinstance(one, int) else f"{source}[{at + offset}]"
            for offset, one in enumerate(numbers)
        ]
        parts.append(f"({', '.join(read)},)" if isinstance(value, tuple) else read[0])
        at += len(numbers)
    assert at <= FIELDS_MAX, f"{type(example).__name__}: {at} numbers, at most {FIELDS_MAX}"
    return ", ".join(parts)


def _pack(target: str, source: str, example: tuple[Any, ...]) -> str:
    """Write the lines that put a NamedTuple like `example` in a row."""
    lines: list[str] = []
    for name, value in zip(_names(type(example)), example, strict=True):
        count = len(list(_flat(value)))
        ends = [f"[{offset}]" for offset in range(count)] if isinstance(value, tuple) else [""]
        lines += [
            f"    {target}[{len(lines) + n}] = {source}.{name}{end}" for n, end in enumerate(ends)
        ]
    return "\n".join(lines)


def _flat(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _names(kind: type) -> tuple[str, ...]:
    """Names of a NamedTuple's fields, in order."""
    names: tuple[str, ...] = vars(kind)["_fields"]
    return names


def _defined(name: str, source: str, names: dict[str, Any]) -> Any:
    exec(source, names)  # noqa: S102 - our own source
    return names[name]
