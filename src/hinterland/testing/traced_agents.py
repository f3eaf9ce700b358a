"""The judge of agents whose global simulator JAX traces: forms, determinism, what is played."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, GlobalStep, Step, stream
from hinterland.core.blame import defined_at
from hinterland.testing.expectations import (
    NUMBERS,
    TRUTHS,
    WHOLE,
    attempt,
    expect_array,
    expect_fields,
    expect_finite,
    expect_leaf,
    expect_methods,
    expect_pictures,
    expect_rows,
    expect_same_structure,
    fail,
    outline,
    quickly_compiled,
    value_of,
)
from hinterland.testing.factorisation import play
from hinterland.testing.notes import horizon_notes
from hinterland.testing.resets import KEYS, same_start, varies
from hinterland.testing.slots import Slots


def check_traced_agents(domain: Domain, seed: int, rounds: int) -> list[str]:
    """Returns one line per check passed, and notes.

    Args:
        domain: the domain to judge; its local simulator has passed `check_local`.
        seed: of the random states and actions it is judged on.
        rounds: episodes of every policy to follow.

    Raises:
        UserError: the first check that failed.
    """
    notes = _check_global(domain, seed)
    _check_policies(domain, seed)
    played = play(domain, seed, rounds)
    how = "exactly" if played.rounding == 0 else "to rounding"
    size = f": largest difference {played.rounding:.2g}" if played.rounding else ""
    return [
        "sizes agree with the spec",
        "the same noise gives the same step",
        "scripted policies act within the action range",
        f"all values are finite and in range over {played.steps} global steps of random, scripted "
        "and constant actions",
        f"local simulators equal their regions {how} over {played.steps} global steps{size}",
        *notes,
    ]


def check_local(domain: Domain, seed: int) -> None:
    """Shapes, types and determinism of a traced local simulator."""
    spec, local, slots = domain.spec, domain.local_simulator, Slots(domain)
    names = ("reset", "observe", "dset", "noise", "step")
    expect_methods("local_simulator", local, names, "LocalSimulator")
    key = stream(seed, "check/shapes")
    where = "local_simulator.reset"
    form = outline(where, local.reset, key)
    expect_same_structure(where, form, form)
    state = value_of(where, local.reset, key)
    forms = {"observe": (*slots.shape, spec.observation), "dset": (spec.dset,)}
    for name, shape in forms.items():
        where, field = f"local_simulator.{name}", "observation" if name == "observe" else "dset"
        value = outline(where, getattr(local, name), state)
        expect_array(where, value, shape, NUMBERS, f"mend it or spec.{field}")
        expect_finite(f"{where} of a first state", value_of(where, getattr(local, name), state))
    noise = value_of("local_simulator.noise", local.noise, key)
    influence = jnp.zeros(spec.sources, jnp.int32)
    actions, where = jnp.zeros(slots.shape, jnp.int32), "local_simulator.step"
    arguments = (state, actions, influence, noise)
    moved = outline(where, local.step, *arguments)
    cure = "one number per step" if slots.alone else "one number per agent of the region"
    _expect_step(where, moved, Step, slots.shape, cure)
    expect_same_structure(f"{where} state", moved.state, form)
    value_of(where, local.step, *arguments)


def _expect_step(where: str, moved: Any, kind: Any, shape: tuple[int, ...], cure: str) -> None:
    """Of a region, or of the whole system."""
    expect_fields(where, moved, kind)
    expect_array(f"{where} reward", moved.reward, shape, NUMBERS, cure)
    expect_array(f"{where} terminated", moved.terminated, (), TRUTHS, "one truth per step")


def _check_global(domain: Domain, seed: int) -> list[str]:
    """Shapes, types and determinism of the global simulator; what is odd about it."""
    spec, whole, agents = domain.spec, domain.global_simulator, domain.agents
    slots = Slots(domain)
    names = ("reset", "noise", "step", "regions", "region_noise")
    expect_methods("global_simulator", whole, names, "GlobalSimulator")
    key = stream(seed, "check/shapes")
    where = "global_simulator.reset"
    form = outline(where, whole.reset, key)
    expect_same_structure(where, form, form)
    system = value_of(where, whole.reset, key)
    noise = value_of("global_simulator.noise", whole.noise, key)
    arguments, where = (system, jnp.zeros(agents, jnp.int32), noise), "global_simulator.step"
    moved = outline(where, whole.step, *arguments)
    _expect_step(where, moved, GlobalStep, (agents,), "one per agent")
    shape, cure = (slots.count, spec.sources), "mend it or spec.sources; classes are integers"
    expect_array(f"{where} influence", moved.influence, shape, WHOLE, cure)
    expect_same_structure(f"{where} state", moved.state, form)
    value_of(where, whole.step, *arguments)
    local = domain.local_simulator
    for name, given, giver, alone in (
        ("regions", system, "local_simulator.reset", local.reset),
        ("region_noise", noise, "local_simulator.noise", local.noise),
    ):
        where = f"global_simulator.{name}"
        found = outline(where, getattr(whole, name), given)
        expect_rows(where, found, slots.count, slots.word)
        one = jax.tree.map(partial(_row, where), found)
        expect_same_structure(where, one, outline(giver, alone, key), giver=giver)
        value_of(where, getattr(whole, name), given)
    expect_pictures(domain, lambda: jax.tree.map(np.asarray, system))
    where = "local_simulator.dset"
    dset = expect_leaf(where, outline(where, local.dset, outline(where, local.reset, key)))
    bytes_ = slots.count * (spec.dset * dset.dtype.itemsize + spec.sources)
    return _look_at_resets(domain, key) + horizon_notes(domain, bytes_)


def _row(where: str, leaf: Any) -> jax.ShapeDtypeStruct:
    """Of one region."""
    leaf = expect_leaf(where, leaf)
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)


def _look_at_resets(domain: Domain, key: jax.Array) -> list[str]:
    """Whether first states depend on their keys, as those of the regions do."""
    whole, local = domain.global_simulator, domain.local_simulator

    @quickly_compiled
    def begin(keys: Any) -> Any:
        systems = jax.vmap(whole.reset)(keys)
        regions = jax.vmap(whole.regions)(systems)
        alone = jax.vmap(local.reset)(keys)
        seen = [jax.vmap(look)(alone) for look in (local.observe, local.dset)]
        return [varies(tree) for tree in (systems, regions, alone)], seen

    keys = jax.random.split(key, KEYS)
    (system, regions, alone), seen = attempt("a first state, traced by JAX", begin, keys)
    for name, values in zip(("observe", "dset"), seen, strict=True):
        expect_finite(f"local_simulator.{name} of a first state", values)
    if regions and not alone:
        fail(
            f"local_simulator.reset{defined_at(local.reset)}",
            f"gives the same state for {KEYS} keys, but the regions of global_simulator.reset "
            "differ",
            "draw it from the key, as the regions of the whole system are",
        )
    return [
        same_start(name)
        for name, differs in (("global_simulator.reset", system), ("local_simulator.reset", alone))
        if not differs
    ]


def _check_policies(domain: Domain, seed: int) -> None:
    """The form of what every hand-written policy gives."""
    local, key, slots = domain.local_simulator, stream(seed, "check/shapes"), Slots(domain)
    state = outline("local_simulator.reset", local.reset, key)
    policies: dict[str, Any] = dict(domain.scripted)
    for name, policy in policies.items():
        where, memory = f"scripted[{name!r}]", policy.initial
        found = outline(where, policy, key, memory, state)
        if not isinstance(found, tuple) or len(found) != 2:
            fail(where, f"gave a {type(found).__name__}", "return (action, memory)")
        expect_array(f"{where} action", found[0], slots.shape, WHOLE, "one integer per agent")
        expect_same_structure(f"{where} memory", found[1], memory, giver="initial")
