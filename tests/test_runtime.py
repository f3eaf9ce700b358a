"""Units of work: order, failure, devices."""

import threading
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hinterland.core import UserError
from hinterland.runtime import LocalRuntime, over_block


def test_results_come_in_the_order_of_the_units() -> None:
    def slow_first(x):
        time.sleep(0.2 if int(x) == 0 else 0.0)
        return x * 2

    found = LocalRuntime(devices=2).map(slow_first, [(jnp.int32(i),) for i in range(5)])
    assert [int(x) for x in found] == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("devices", [1, 3])
def test_units_are_spread_over_cores_which_share_compiled_programs(devices: int) -> None:
    seen, traced = set(), []
    together = threading.Barrier(devices)

    @jax.jit
    def double(x):
        traced.append(x)
        return 2 * x

    def where(x):
        together.wait(60)  # as many units at a time as there are cores
        seen.add(threading.get_ident())
        return double(x)

    runtime = LocalRuntime(devices=devices)
    found = runtime.map(where, [(jnp.int32(i),) for i in range(6)])
    assert found == [0, 2, 4, 6, 8, 10]
    assert len(seen) == devices == len(runtime.describe())
    assert len(traced) == 1
    assert double._cache_size() == 1


def test_a_failing_unit_is_raised_and_the_rest_is_dropped() -> None:
    ran = []

    def fail_at_1(x):
        ran.append(int(x))
        if int(x) == 1:
            raise ValueError("unit 1")
        return x

    with pytest.raises(ValueError, match="unit 1"):
        LocalRuntime(devices=1).map(fail_at_1, [(jnp.int32(i),) for i in range(50)])
    assert ran == [0, 1]


def test_agents_are_cut_into_blocks_and_put_together_again() -> None:
    stacked = {"a": np.arange(5.0, dtype=np.float32), "b": np.ones((5, 2), np.float32)}
    double = over_block(
        lambda *parts: {"sum": parts[0]["a"] + parts[1]["b"].sum()}, shared_arguments=0
    )
    for block in (1, 2, 5):
        found = LocalRuntime(devices=2, block=block).map_agents(
            lambda parts: jax.jit(double)(parts), ({"a": stacked["a"]}, {"b": stacked["b"]})
        )
        np.testing.assert_array_equal(found["sum"], stacked["a"] + 2)


def test_more_accelerators_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of cores any number can be asked for: they are threads."""
    accelerator = SimpleNamespace(platform="gpu", id=0, device_kind="none")
    monkeypatch.setattr(jax, "devices", lambda: [accelerator])
    with pytest.raises(UserError, match="--devices 2: this machine has 1"):
        LocalRuntime(devices=2)
