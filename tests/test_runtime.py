"""Units of work: order, failure, devices."""

import time

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


def test_units_are_spread_over_the_devices() -> None:
    seen = set()

    def where(x):
        time.sleep(0.05)
        seen.add(next(iter(x.devices())).id)
        return x

    LocalRuntime(devices=2).map(where, [(jnp.int32(i),) for i in range(6)])
    assert seen == {0, 1}


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


def test_more_devices_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="--devices 99: this machine has"):
        LocalRuntime(devices=99)
