"""The factorisation test where the global simulator is outside of JAX and the local one is traced.

A session that has `regions()` gives the local state of every region, stacked on a region axis: the
pytree that `local_simulator.reset` gives, or, for a named tuple, a dictionary of its fields. Where
the local simulator throws dice, `region_noise()` gives what it drew in the last step, stacked
likewise. Neither is asked for by anything but the check.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, by_kind, is_host
from hinterland.core.blame import defined_at
from hinterland.testing.differences import (
    Difference,
    beyond_rounding,
    difference,
    largest_distance,
    leaf_names,
    values_of,
)
from hinterland.testing.expectations import (
    attempt,
    expect_leaf,
    expect_rows,
    expect_same_structure,
    fail,
    outline,
)
from hinterland.testing.factorisation import compared, fail_as_otherwise
from hinterland.testing.notes import NOTE
from hinterland.testing.slots import Slots

_SHOWN = {"observation": "observe", "dset": "dset"}


class HostFactorisation:
    """Follows one session beside the domain's local simulator, and keeps what was compared.

    Args:
        domain: whose global simulator is on hosts.
        kind: of regions, its number.
    """

    def __init__(self, domain: Domain, kind: int = 0) -> None:
        self._steps, self._largest = 0, 0.0
        self._slots, self._by_kind = Slots(domain, kind), partial(by_kind, domain)
        self._why_not = ""
        self._traced = not is_host(self._slots.local)
        self._offered: set[str] = set()
        if not self._traced:
            self._why_not = "local simulators outside of JAX cannot be put into a region's state"
            return
        local, key, name = self._slots.local, jax.random.key(0), self._slots.name
        self._forms = {
            "regions": outline(f"{name}.reset", self._slots.kind.reset, key),
            "region_noise": outline(f"{name}.noise", local.noise, key),
        }
        self._step = jax.jit(_compare_step(local, self._slots))
        self._look = jax.jit(_compare_view(local))

    def begin(self, session: Any, seen: Mapping[str, Any]) -> None:
        """An episode, from what its reset showed."""
        if not self._traced:
            return
        self._offered = set(session.call("__dir__"))
        has_dice = bool(jax.tree.leaves(self._forms["region_noise"]))
        if "regions" not in self._offered:
            self._why_not = "the sessions have no regions(), the local state of every region"
        elif has_dice and "region_noise" not in self._offered:
            self._why_not = (
                "the local simulator throws dice, and the sessions have no region_noise(), what it "
                "drew in the last step"
            )
        if "regions" in self._offered:
            self._before = self._asked(session, "regions")
            self._judge_view(self._before, seen, "reset")

    def step(self, session: Any, actions: np.ndarray, seen: Mapping[str, Any], t: int) -> None:
        """One step, from what it gave."""
        if "regions" not in self._offered:
            return
        before, after = self._before, self._asked(session, "regions")
        self._before = after
        self._judge_view(after, seen, f"step {t}")
        if self._why_not:
            return
        drawn = "region_noise" in self._offered and jax.tree.leaves(self._forms["region_noise"])
        shares = self._asked(session, "region_noise") if drawn else self._forms["region_noise"]
        theirs = (after, jnp.asarray(seen["reward"]), jnp.asarray(seen["terminated"]))
        influence = jnp.asarray(self._mine(seen["influence"]))
        given = (before, actions, influence, shares, theirs)
        found = attempt("local_simulator.step in a session's regions", self._step, *given)
        leaves = zip(leaf_names(after), jax.tree.leaves(after), strict=True)
        named = [(f"state{name}", leaf.shape) for name, leaf in leaves if leaf.size]
        regions = (self._slots.count,)
        named += [("reward", (*regions, *self._slots.shape)), ("terminated", regions)]
        for (name, shape), one in zip(named, found, strict=True):
            said = self._differs(one)
            if said:
                place = np.unravel_index(int(one.place), shape)
                whose = self._slots.owner(place, name == "reward")
                mine = f"{self._slots.name}.step{defined_at(self._slots.local.step)}"
                methods = f"compare {mine} with step, regions and region_noise of the session"
                fail_as_otherwise(name, whose, f"step {t}", said, methods)
        self._steps += 1

    def lines(self) -> list[str]:
        """What was found: a check that passed, or why there was none."""
        if self._why_not:
            return [f"{NOTE}factorisation was not tested: {self._why_not}; see docs/own-domain.md"]
        how = f"to rounding: largest difference {self._largest:.2g}" if self._largest else "exactly"
        return [f"local simulators equal their regions over {self._steps} global steps, {how}"]

    def _judge_view(self, regions: Any, seen: Mapping[str, Any], when: str) -> None:
        """What the local simulator shows of the regions is what the session shows."""
        shown = {
            "observation": self._slots.by_region(seen["observation"])[..., : self._slots.width],
            "dset": jnp.asarray(self._mine(seen["dset"])),
        }
        found = attempt(
            "local_simulator.observe of a session's regions", self._look, regions, shown
        )
        for name, one in found.items():
            said = self._differs(one)
            if said:
                place = np.unravel_index(int(one.place), shown[name].shape)
                owner, inside = self._slots.owner(place, name == "observation")
                method = getattr(self._slots.local, _SHOWN[name])
                fail(
                    f"{name}{inside} of {owner} at {when}",
                    f"{said}, of the session's own regions",
                    f"compare {self._slots.name}.{_SHOWN[name]}{defined_at(method)} with what "
                    "the session shows, and with its regions",
                )

    def _mine(self, found: Any) -> Any:
        """The kind's part of what is of all regions."""
        return self._by_kind(found)[self._slots.at]

    def _differs(self, found: Difference) -> str:
        """Both values, if it is by more than rounding."""
        counts = np.ones((), bool)
        self._largest = max(self._largest, largest_distance(found, counts))
        return values_of(found, (), counts) if beyond_rounding(found, counts) else ""

    def _asked(self, session: Any, method: str) -> Any:
        """The session's answer in the form of the local simulator's."""
        form, where = self._forms[method], f"{method} of a session"
        giver = f"{self._slots.name}.{'reset' if method == 'regions' else 'noise'}"
        found = self._mine(session.call(method))
        if isinstance(found, Mapping) and hasattr(form, "_fields"):
            if set(found) != set(form._fields):
                fields = ", ".join(form._fields)
                fail(where, f"has {', '.join(map(str, found))}", f"its fields are {fields}")
            found = type(form)(**found)
        expect_rows(where, found, self._slots.count, self._slots.word)
        if jax.tree.structure(found) == jax.tree.structure(form):
            found = jax.tree.map(lambda leaf, of: _as(expect_leaf(where, leaf), of), found, form)
        one = jax.tree.map(lambda leaf: expect_leaf(where, leaf)[0], found)
        expect_same_structure(where, one, form, giver)
        return found


def _as(leaf: jax.Array, form: Any) -> jax.Array:
    """NumPy counts in 64 bits: numbers of one kind are taken, if they fit."""
    wanted = jnp.asarray(form).dtype if not hasattr(form, "dtype") else form.dtype
    if jnp.issubdtype(wanted, jnp.floating) and jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf.astype(wanted)
    if jnp.issubdtype(wanted, jnp.integer) and jnp.issubdtype(leaf.dtype, jnp.integer):
        cast = leaf.astype(wanted)
        return cast if bool((cast == leaf).all()) else leaf
    return leaf


def _compare_step(local: Any, slots: Slots) -> Any:
    def compare(before: Any, actions: Any, influence: Any, shares: Any, theirs: Any) -> Any:
        given = slots.by_region(actions)
        alone = jax.vmap(local.step)(before, given, influence.astype(jnp.int32), shares)
        state, reward, ended = theirs
        mine = (alone.state, alone.reward, alone.terminated)
        over = jnp.broadcast_to(ended, alone.terminated.shape)
        return compared(mine, (state, slots.by_region(reward), over))

    return compare


def _compare_view(local: Any) -> Any:
    def compare(regions: Any, shown: Any) -> dict[str, Difference]:
        return {
            name: difference(jax.vmap(getattr(local, method))(regions), shown[name])
            for name, method in _SHOWN.items()
            if shown[name].size
        }

    return compare
