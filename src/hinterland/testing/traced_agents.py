"""The judge of agents whose global simulator JAX traces: forms, determinism, what is played."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import (
    Domain,
    GlobalStep,
    Step,
    by_kind,
    for_each_kind,
    has_kinds,
    kinds_of,
    stream,
)
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
from hinterland.testing.slots import Slots, every_slots


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
    """Shapes, types and determinism of traced local simulators."""
    for slots in every_slots(domain):
        _check_local(slots, stream(seed, "check/shapes"))


def _check_local(slots: Slots, key: jax.Array) -> None:
    """Of one kind."""
    spec, local, whose = slots.kind.spec, slots.local, slots.name
    names = ("reset", "observe", "dset", "noise", "step")
    expect_methods(whose, local, names, "LocalSimulator")
    where, told = f"{whose}.reset", slots.kind.told(0)
    form = outline(where, local.reset, key, *told)
    expect_same_structure(where, form, form)
    state = value_of(where, local.reset, key, *told)
    forms = {"observe": (*slots.shape, spec.observation), "dset": (spec.dset,)}
    for name, shape in forms.items():
        where, field = f"{whose}.{name}", "observation" if name == "observe" else "dset"
        value = outline(where, getattr(local, name), state)
        expect_array(where, value, shape, NUMBERS, f"mend it or {slots.of}spec.{field}")
        expect_finite(f"{where} of a first state", value_of(where, getattr(local, name), state))
    noise = value_of(f"{whose}.noise", local.noise, key)
    influence = jnp.zeros(spec.sources, jnp.int32)
    actions, where = jnp.zeros(slots.shape, jnp.int32), f"{whose}.step"
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
    whole, agents = domain.global_simulator, domain.agents
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
    found = _by_kind(domain, f"{where} influence", moved.influence)
    for slots, influence in zip(every_slots(domain), found, strict=True):
        shape, cure = (slots.count, slots.kind.spec.sources), "classes are integers"
        cure = f"mend it or {slots.of}spec.sources; {cure}"
        expect_array(f"{where} influence{_entry(slots)}", influence, shape, WHOLE, cure)
    expect_same_structure(f"{where} state", moved.state, form)
    value_of(where, whole.step, *arguments)
    bytes_ = 0
    for name, given in (("regions", system), ("region_noise", noise)):
        where = f"global_simulator.{name}"
        shown = outline(where, getattr(whole, name), given)
        shown = _by_kind(domain, where, shown)
        for slots, found in zip(every_slots(domain), shown, strict=True):
            _check_rows(f"{where}{_entry(slots)}", name, slots, found, key)
        value_of(where, getattr(whole, name), given)
    expect_pictures(domain, lambda: jax.tree.map(np.asarray, system))
    for slots in every_slots(domain):
        where, of = f"{slots.name}.dset", slots.kind
        dset = expect_leaf(where, outline(where, slots.local.dset, outline(where, of.reset, key)))
        bytes_ += slots.count * (of.spec.dset * dset.dtype.itemsize + of.spec.sources)
    return _look_at_resets(domain, key) + horizon_notes(domain, bytes_)


def _by_kind(domain: Domain, where: str, found: Any) -> tuple[Any, ...]:
    """What is of all regions, with one entry for each kind that the domain declares."""
    count = len(kinds_of(domain))
    if has_kinds(domain) and (not isinstance(found, tuple) or len(found) != count):
        said = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
        fail(where, f"is {said}, expected a tuple of {count}", "give each kind its stacked entry")
    return by_kind(domain, found)


def _entry(slots: Slots) -> str:
    """Where in such a tuple; of a domain without kinds there is none."""
    return f"[{slots.at}]" if slots.of else ""


def _check_rows(where: str, name: str, slots: Slots, found: Any, key: jax.Array) -> None:
    """What the whole system gives of a kind's regions has their local simulator's form."""
    giver, alone = f"{slots.name}.reset", slots.kind.reset
    if name == "region_noise":
        giver, alone = f"{slots.name}.noise", slots.local.noise
    expect_rows(where, found, slots.count, slots.word)
    one = jax.tree.map(partial(_row, where), found)
    expect_same_structure(where, one, outline(giver, alone, key), giver=giver)


def _row(where: str, leaf: Any) -> jax.ShapeDtypeStruct:
    """Of one region."""
    leaf = expect_leaf(where, leaf)
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)


def _look_at_resets(domain: Domain, key: jax.Array) -> list[str]:
    """Whether first states depend on their keys, as those of the regions do."""
    whole, every = domain.global_simulator, every_slots(domain)

    @quickly_compiled
    def begin(keys: Any) -> Any:
        systems = jax.vmap(whole.reset)(keys)
        regions = by_kind(domain, jax.vmap(whole.regions)(systems))
        alone = [jax.vmap(slots.kind.reset)(keys) for slots in every]
        seen = {
            f"{slots.name}.{name}": jax.vmap(getattr(slots.local, name))(states)
            for slots, states in zip(every, alone, strict=True)
            for name in ("observe", "dset")
        }
        return varies(systems), [varies(x) for x in regions], [varies(x) for x in alone], seen

    keys = jax.random.split(key, KEYS)
    system, regions, alone, seen = attempt("a first state, traced by JAX", begin, keys)
    for name, values in seen.items():
        expect_finite(f"{name} of a first state", values)
    for slots, differ, differs in zip(every, regions, alone, strict=True):
        if differ and not differs:
            fail(
                f"{slots.name}.reset{defined_at(slots.local.reset)}",
                f"gives the same state for {KEYS} keys, but the regions of global_simulator.reset "
                "differ",
                "draw it from the key, as the regions of the whole system are",
            )
    mine = [(f"{slots.name}.reset", differs) for slots, differs in zip(every, alone, strict=True)]
    return [
        same_start(name)
        for name, differs in [("global_simulator.reset", system), *mine]
        if not differs
    ]


def _check_policies(domain: Domain, seed: int) -> None:
    """The form of what every hand-written policy gives."""
    key = stream(seed, "check/shapes")
    policies: dict[str, Any] = dict(domain.scripted)
    for slots in every_slots(domain):
        state = outline(f"{slots.name}.reset", slots.kind.reset, key)
        for name, policy in policies.items():
            one = for_each_kind(policy, kinds_of(domain))[slots.at]
            _check_policy(f"scripted[{name!r}]{_entry(slots)}", one, key, state, slots)


def _check_policy(where: str, policy: Any, key: jax.Array, state: Any, slots: Slots) -> None:
    found = outline(where, policy, key, policy.initial, state)
    if not isinstance(found, tuple) or len(found) != 2:
        fail(where, f"gave a {type(found).__name__}", "return (action, memory)")
    expect_array(f"{where} action", found[0], slots.shape, WHOLE, "one integer per agent")
    expect_same_structure(f"{where} memory", found[1], policy.initial, giver="initial")
