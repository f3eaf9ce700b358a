"""Shapes in annotations are checked while the tests run, and users get our types."""

import importlib.resources
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float, Int, TypeCheckError, UInt8, jaxtyped

from hinterland.domains.warehouse import dynamics
from hinterland.domains.warehouse.local_simulator import LocalWarehouse
from hinterland.domains.warehouse.state import RegionState
from hinterland.learn import gae
from shapes import checked

ROOT = Path(__file__).parents[1]
S = TypeVar("S")


class Pair(NamedTuple):
    row: Float[Array, "lines n"]
    column: Int[Array, " lines"]


class Moved(NamedTuple, Generic[S]):
    state: S
    reward: Float[Array, " agents"]


ROW, COLUMN = jnp.zeros((2, 3)), jnp.zeros(2, int)

CASES = {
    "rank": (Float[Array, "a b"], ROW, COLUMN.astype(float)),
    "dtype": (Int[Array, " a"], COLUMN, jnp.zeros(2)),
    "unsigned": (UInt8[Array, " a"], np.zeros(2, np.uint8), np.zeros(2, np.int8)),
    "scalar": (Float[Array, ""], jnp.float32(1), ROW),
    "NumPy": (Float[Array, "a b"], np.zeros((2, 3)), np.zeros(3)),
    "stand-in": (
        Float[Array, "a b"],
        jax.eval_shape(lambda: ROW),
        jax.eval_shape(lambda: COLUMN),
    ),
    "or none": (Bool[Array, " a"] | None, None, ROW),
    "tuple": (
        tuple[Float[Array, "a b"], Int[Array, " a"]],
        (ROW, COLUMN),
        (ROW, jnp.zeros(3, int)),
    ),
    "values": (dict[str, Float[Array, "a b"]], {"x": ROW, "y": ROW}, {"x": COLUMN}),
    "fields": (Pair, Pair(ROW, COLUMN), Pair(ROW, jnp.zeros(3, int))),
    "generic fields": (Moved[Pair], Moved(Pair(ROW, COLUMN), jnp.zeros(4)), Moved(None, ROW)),
    "fields in a list": (list[Pair], [Pair(ROW, COLUMN)], [Pair(ROW, COLUMN[:1])]),
}  # fmt: skip


@pytest.mark.parametrize(("hint", "good", "bad"), CASES.values(), ids=CASES)
def test_a_hint_is_checked_at_an_argument_and_at_a_result(hint: Any, good: Any, bad: Any) -> None:
    def take(x):
        del x

    def give(x):
        return x

    take.__annotations__, give.__annotations__ = {"x": hint}, {"return": hint}
    for function in (take, give):
        function = jaxtyped(function, typechecker=checked)
        function(good)
        with pytest.raises(TypeCheckError):
            function(bad)


def test_classes_are_left_to_ty() -> None:
    @jaxtyped(typechecker=checked)
    def take(seed: int, scale: float, names: list[str], many: Array) -> str:
        return seed

    # A traced seed, and what a test of a refusal gives on purpose
    assert take(jnp.int32(1), None, ("a",), [1.0]) == 1


FOUR, FIVE = jnp.zeros(4), jnp.zeros(5)

# Functions of the package itself: the import hook is there, and sees through `jit`.
MISTAKES = {
    "one step too many": ("next_value", lambda: gae(FOUR, FOUR, FIVE, FOUR > 0, 0.9, 0.8)),
    "truths for integers": ("age", lambda: dynamics.grow(jnp.ones(12, bool))),
    "an action for each of two": (
        "action",
        lambda: LocalWarehouse().step(
            LocalWarehouse().reset(jax.random.key(0)),
            jnp.zeros(2, int), jnp.zeros(4, int), jnp.zeros(12),
        ),
    ),
    "a region of eleven slots": (
        "state",
        lambda: LocalWarehouse().observe(RegionState(jnp.zeros(11, int), 2, 2)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("jit", [False, True], ids=["as it is", "traced"])
@pytest.mark.parametrize(("parameter", "call"), MISTAKES.values(), ids=MISTAKES)
def test_a_wrong_shape_fails_where_it_is_given(parameter: str, call: Any, jit: bool) -> None:
    with pytest.raises(TypeCheckError, match=f"parameter '{parameter}'"):
        (jax.jit(call) if jit else call)()


def test_users_get_the_types_in_a_checkout_and_in_a_wheel(tmp_path: Path) -> None:
    assert (importlib.resources.files("hinterland") / "py.typed").is_file()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert "hinterland/py.typed" in zipfile.ZipFile(wheel).namelist()
