"""How a check fails: one sentence that says where, what came, and what to do."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import EntityDomain, UserError
from hinterland.core.blame import blamed

NUMBERS = (jnp.bool_, jnp.integer, jnp.floating)
WHOLE = (jnp.integer,)
TRUTHS = (jnp.bool_,)
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Options of XLA for CPUs: a check compiles more than it computes, and takes a third as long so."""
_WORDS = {NUMBERS: "real numbers", WHOLE: "integers", TRUTHS: "truths (bool)"}


def quickly_compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` for what is called once or twice."""
    return jax.jit(function, compiler_options=QUICK if jax.default_backend() == "cpu" else None)


def fail(where: str, problem: str, cure: str) -> NoReturn:
    """Ends the check.

    Raises:
        UserError: always.
    """
    raise UserError(f"{where}: {problem}; {cure}")


def fail_as_over_at_once(where: str) -> NoReturn:
    """Of a horizon of several steps, no episode that was played had a second one."""
    fail(
        where,
        "every episode ended at its first step",
        "it says that an episode is over, not that it goes on; time is spec.horizon's business",
    )


def attempt(where: str, function: Callable[..., Any], *arguments: Any, called: Any = None) -> Any:
    """Calls the user's code; whatever it raises is named by its method, file and line.

    `called` is the user's own function, where `function` only calls it.
    """
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        branches = isinstance(error, jax.errors.TracerBoolConversionError)
        why = "Python cannot branch on what JAX traces, jnp.where can: " if branches else ""
        raise UserError(f"{where}: {why}raised {blamed(error, called or function)}") from error


def expect_methods(where: str, owner: Any, names: Sequence[str], contract: str) -> None:
    """It has these methods."""
    for name in names:
        if not callable(getattr(owner, name, None)):
            fail(where, f"has no method {name!r}", f"see hinterland.core.{contract}")


def expect_array(
    where: str, value: Any, shape: tuple[int, ...], kinds: tuple[Any, ...], cure: str
) -> jax.Array:
    """The value as an array of that shape, whose type is of one of those kinds.

    It may be abstract, from `jax.eval_shape`, and then stays so.
    """
    try:
        found = _array(value)
    except (TypeError, ValueError):
        fail(where, f"gave a {type(value).__name__}, expected an array", cure)
    if found.shape != shape:
        fail(where, f"shape {list(found.shape)}, expected {list(shape)}", cure)
    if not any(jnp.issubdtype(found.dtype, kind) for kind in kinds):
        fail(where, f"type {found.dtype}, expected {_WORDS[kinds]}", cure)
    return found


def expect_finite(where: str, value: Any) -> None:
    """All numbers are."""
    if not np.isfinite(np.asarray(value, np.float32)).all():
        fail(where, "not finite", "look for 0/0 and log 0")


def expect_classes(where: str, influence: Any, classes: int, named: Callable[[int], str]) -> None:
    """Integers of 0 .. classes-1; [regions, sources]. `named` is what a region is called."""
    found = np.asarray(influence)
    wrong = (found < 0) | (found >= classes)
    if wrong.any():
        region, source = np.argwhere(wrong)[0]
        fail(
            where,
            f"{named(int(region))}, source {source} has class {class_said(found[wrong][0])}",
            f"classes are 0 .. {classes - 1}",
        )


def class_said(value: Any) -> str:
    """The number; a large one of an unsigned type was most likely less than 0 once."""
    kind = np.asarray(value).dtype
    if kind.kind != "u" or value <= np.iinfo(kind).max // 2:
        return str(value)
    return f"{value}, which is what {kind} makes of {int(value) - np.iinfo(kind).max - 1}"


def expect_fields(where: str, value: Any, kind: Any) -> None:
    """It is one of `core`'s named tuples, or has the same fields."""
    for name in kind._fields:
        if not hasattr(value, name):
            fields = ", ".join(kind._fields)
            fail(
                where,
                f"gave a {type(value).__name__} without {name!r}",
                f"return hinterland.core.{kind.__name__}({fields})",
            )


def expect_same_structure(where: str, found: Any, expected: Any, giver: str = "reset") -> None:
    """Two pytrees have the same form, shapes and types."""
    if jax.tree.structure(found) != jax.tree.structure(expected):
        fail(where, f"another structure than {giver} gives", "return the same pytree")
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = (expect_leaf(where, leaf) for leaf in (a, b))
        if a.shape != b.shape or a.dtype != b.dtype:
            fail(
                where,
                f"{a.dtype}{list(a.shape)} where {giver} gives {b.dtype}{list(b.shape)}",
                "keep shapes and types through a step",
            )


def expect_leaf(where: str, leaf: Any) -> jax.Array:
    """A part of a state is something that JAX can hold."""
    try:
        return _array(leaf)
    except (TypeError, ValueError):
        kind = type(leaf).__name__
        fail(where, f"holds a {kind}", "a state is a pytree of arrays, which JAX can trace")


def _array(value: Any) -> Any:
    return value if isinstance(value, jax.ShapeDtypeStruct) else jnp.asarray(value)


def expect_rows(where: str, tree: Any, count: int, of: str) -> None:
    """Every leaf has a leading axis of that length."""
    for leaf in jax.tree.leaves(tree):
        if jnp.shape(leaf)[:1] != (count,):
            fail(
                where,
                f"shape {list(jnp.shape(leaf))}, expected [{count}, ...]",
                f"stack all {of} on a leading axis",
            )


def outline(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the user's function gives for such arguments, traced: the arrays' shapes and types.

    What is no array stays as it is, for a check to complain of.
    """
    found: list[Any] = []

    def traced(*given: Any) -> tuple[()]:
        found.append(jax.tree.map(_form, function(*given)))
        return ()

    attempt(where, jax.eval_shape, traced, *arguments, called=function)
    return found[0]


def _form(leaf: Any) -> Any:
    is_array = isinstance(leaf, jax.Array | np.ndarray | np.generic)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if is_array else leaf


def value_of(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What it gives, compiled; a function of its arguments alone, or the check ends here."""
    expect_function(where, function, *arguments)
    compiled = quickly_compiled(lambda *given: function(*given))
    first, second = (attempt(where, compiled, *arguments, called=function) for _ in range(2))
    if not equal(first, second):
        _fail_as_no_function(where)
    return first


def expect_function(where: str, function: Callable[..., Any], *arguments: Any) -> None:
    """Traced twice over copies it is one program: no counter, and no random number, of Python's."""
    copies = jax.tree.map(lambda x: jnp.asarray(x)[None], arguments)
    over = jax.vmap if jax.tree.leaves(copies) else (lambda one: one)
    first, second = (
        attempt(where, jax.make_jaxpr(over(lambda *x: function(*x))), *copies, called=function)
        for _ in range(2)
    )
    # Functions that are made anew for each trace print their addresses.
    texts = [re.sub(r"0x[0-9a-f]+", "", str(made)) for made in (first, second)]
    if texts[0] != texts[1] or not equal(first.consts, second.consts):
        _fail_as_no_function(where)


def _fail_as_no_function(where: str) -> NoReturn:
    fail(
        where,
        "two calls with the same arguments differ",
        "it must be a function of them alone: keep what changes in the state, and draw all "
        "random numbers in noise(key)",
    )


def expect_entity_policies(domain: EntityDomain, observation: Any, mask: Any) -> None:
    """Every hand-written policy gives each slot of a state something possible, as traced."""
    possible = np.asarray(mask)
    keys = jax.random.split(jax.random.key(0), domain.agents)
    for name, policy in domain.scripted.items():
        where, act = f"scripted[{name!r}]", jax.jit(jax.vmap(policy))
        found = attempt(where, act, keys, jnp.asarray(observation), jnp.asarray(mask))
        found = expect_array(where, found, (domain.agents,), WHOLE, "one integer per entity")
        for slot in np.flatnonzero(possible.any(1)):
            able = np.flatnonzero(possible[slot])
            if int(found[slot]) not in able:
                fail(where, f"action {int(found[slot])}", f"its mask allows {able.tolist()}")


def expect_pictures(domain: Any, states: Callable[[], Any], *start: Any) -> None:
    """Where a domain draws itself, its first picture has the form that pages and GIFs need."""
    if not hasattr(domain, "frame") and not hasattr(domain, "scene"):
        return
    expect_methods("domain", domain, ("scene", "frame"), "Domain")
    scene = attempt("domain.scene", domain.scene, *start)
    if not isinstance(scene, dict) or not {"width", "height", "shapes"} <= set(scene):
        fail("domain.scene", "lacks 'width', 'height' or 'shapes'", "see hinterland.core.Domain")
    frame = attempt("domain.frame", domain.frame, states(), *start)
    for where, shapes in (("domain.scene", scene["shapes"]), ("domain.frame", frame)):
        if not isinstance(shapes, list | tuple) or not all(
            isinstance(shape, dict) and "kind" in shape for shape in shapes
        ):
            fail(where, "is no list of shapes", "see hinterland.core.Domain.frame")


def equal(a: Any, b: Any) -> bool:
    """Bit for bit; NaN equals NaN: that it appeared at all is another check's business."""
    return all(
        np.array_equal(_plain(x), _plain(y), equal_nan=_plain(x).dtype.kind == "f")
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _plain(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf))
    return np.asarray(leaf)
