"""What a domain declares about itself, before anything of it runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hinterland.core import (
    AgentSpec,
    Kind,
    for_each_kind,
    has_kinds,
    is_entity_domain,
    is_game,
    is_host,
)
from hinterland.core.spec import is_whole
from hinterland.testing.expectations import fail


def check_attributes(domain: Any) -> None:
    """Names, numbers, masks, roles and hand-written policies.

    Raises:
        UserError: one is missing, or of another type or size than the contract says.
    """
    of_entities = is_entity_domain(domain)
    contract = "EntityDomain" if of_entities else "Domain"
    simulators = ("entity_simulator",) if of_entities else ("local_simulator", "global_simulator")
    if has_kinds(domain):
        simulators = simulators[-1:]
    for name in ("name", "agents", "spec", *simulators, "scripted"):
        if not hasattr(domain, name):
            fail("domain", f"has no attribute {name!r}", f"see hinterland.core.{contract}")
    if not isinstance(domain.name, str) or not domain.name:
        fail("domain.name", f"is {domain.name!r}", "give a short text")
    _expect_whole("domain.agents", domain.agents, 1)
    if not isinstance(domain.spec, AgentSpec):
        kind = type(domain.spec).__name__
        fail("domain.spec", f"is a {kind}", "give a hinterland.core.AgentSpec")
    if is_game(domain):
        _expect_whole("domain.sides", domain.sides, 1)
        _expect_whole("domain.length", getattr(domain, "length", None), domain.spec.horizon)
    if has_kinds(domain):
        _check_kinds(domain)
    _check_mask(domain)
    _check_regions(domain)
    _check_roles(domain)
    notes = getattr(domain, "notes", ())
    if isinstance(notes, str) or not all(isinstance(note, str) for note in notes):
        fail("domain.notes", f"is {notes!r}", "give a list of sentences")
    _check_policies(domain)


def _expect_whole(where: str, value: Any, least: int) -> None:
    if not is_whole(value) or value < least:
        fail(where, f"is {value!r}", f"it must be a whole number of at least {least}")


def _check_mask(domain: Any) -> None:
    """`action_mask`, of agents: what each of them can do at all."""
    if getattr(domain, "action_mask", None) is None:
        return
    mask, where = np.asarray(domain.action_mask), "domain.action_mask"
    expected = (domain.agents, domain.spec.actions)
    if mask.shape != expected:
        cure = "one row per agent, one column per action"
        fail(where, f"shape {list(mask.shape)}, expected {list(expected)}", cure)
    if mask.dtype != bool:
        fail(where, f"type {mask.dtype}", "give truths (bool)")
    if not mask.any(1).all():
        agent = int(mask.any(1).argmin())
        fail(where, f"agent {agent} has no action at all", "leave it at least one")


def _check_regions(domain: Any) -> None:
    """`regions`, of agents: who lives in each."""
    if is_entity_domain(domain) or getattr(domain, "regions", None) is None:
        return
    where, cure = "domain.regions", "one row per region: the numbers of its agents"
    try:
        regions = np.asarray(domain.regions)
    except ValueError:
        fail(where, "its rows have different lengths", "give each region as many agents")
    if regions.ndim != 2 or not regions.size:
        fail(where, f"shape {list(regions.shape)}, expected [regions, agents of each]", cure)
    if regions.dtype.kind not in "iu":
        fail(where, f"type {regions.dtype}, expected integers", cure)
    _expect_everybody(domain, where, regions.ravel())


def _expect_everybody(domain: Any, where: str, agents: np.ndarray) -> None:
    """Every agent once."""
    outside = agents[(agents < 0) | (agents >= domain.agents)]
    if outside.size:
        fail(where, f"names agent {outside[0]}", f"agents are 0 .. {domain.agents - 1}")
    times = np.bincount(agents, minlength=domain.agents)
    if (times != 1).any():
        agent = int((times != 1).argmax())
        fail(where, f"names agent {agent} {times[agent]} times", "name every agent exactly once")


def _check_kinds(domain: Any) -> None:
    """`kinds`, of agents: sizes within the domain's, everybody in one region, what each is told."""
    where = "domain.kinds"
    if is_entity_domain(domain):
        fail(
            where, "are given for entities", "regions of several kinds are of agents: leave it out"
        )
    if getattr(domain, "regions", None) is not None:
        fail(where, "are given beside domain.regions", "kinds say who lives where: leave one out")
    if not isinstance(domain.kinds, Sequence) or not domain.kinds:
        fail(where, f"are {domain.kinds!r}", "give a sequence of hinterland.Kind")
    for number, kind in enumerate(domain.kinds):
        _check_kind(domain, f"{where}[{number}]", kind)
    everybody = np.concatenate([kind.regions.ravel() for kind in domain.kinds])
    _expect_everybody(domain, "the regions of domain.kinds", everybody)
    if len({is_host(kind.local_simulator) for kind in domain.kinds}) > 1:
        fail(where, "have local simulators in JAX and outside of it", "give all of one sort")


def _check_kind(domain: Any, where: str, kind: Any) -> None:
    if not isinstance(kind, Kind):
        fail(where, f"is a {type(kind).__name__}", "give a hinterland.Kind")
    if not isinstance(kind.spec, AgentSpec):
        given = type(kind.spec).__name__
        fail(f"{where}.spec", f"is a {given}", "give a hinterland.core.AgentSpec")
    if kind.spec.horizon != domain.spec.horizon:
        said = f"is {kind.spec.horizon}, where domain.spec has {domain.spec.horizon}"
        fail(f"{where}.spec.horizon", said, "all regions end together: give both the same")
    for name in ("observation", "actions", "dset", "sources", "classes"):
        mine, most = getattr(kind.spec, name), getattr(domain.spec, name)
        if mine > most:
            cure = "domain.spec has the largest sizes; see hinterland.largest"
            fail(f"{where}.spec.{name}", f"is {mine}, more than domain.spec's {most}", cure)
    for leaf in jax.tree.leaves(kind.parameters):
        if np.shape(leaf)[:1] != (len(kind.regions),):
            said = f"have shape {list(np.shape(leaf))}, expected [{len(kind.regions)}, ...]"
            fail(f"{where}.parameters", said, "stack those of its regions on a leading axis")


def _check_roles(domain: Any) -> None:
    if not hasattr(domain, "roles"):
        return
    roles = list(domain.roles)
    if len(roles) != domain.agents:
        fail("domain.roles", f"has {len(roles)} entries", f"one for each of {domain.agents} slots")
    if not all(is_whole(role) for role in roles) or set(roles) != set(range(max(roles) + 1)):
        fail("domain.roles", f"are {roles}", "number them 0, 1, ... without a gap")


def _check_policy(domain: Any, where: str, policy: Any) -> None:
    if not callable(policy):
        fail(where, f"{policy!r} cannot be called", "give a function; see docs/own-domain.md")
    if not is_entity_domain(domain) and not hasattr(policy, "initial"):
        cure = "give it its memory at the start, or None; see hinterland.core.ScriptedPolicy"
        fail(where, "has no attribute 'initial'", cure)


def _check_policies(domain: Any) -> None:
    """Hand-written policies: functions of traced systems, controllers' names of those on hosts."""
    scripted = domain.scripted
    if not isinstance(scripted, Mapping):
        kind = type(scripted).__name__
        fail("domain.scripted", f"is a {kind}", "give a dictionary of policies by name")
    for name, policy in scripted.items():
        where = f"scripted[{name!r}]"
        if not isinstance(name, str):
            fail(where, f"its name is a {type(name).__name__}", "policies are named by text")
        if is_game(domain) or (not is_entity_domain(domain) and is_host(domain.global_simulator)):
            if not isinstance(policy, str):
                kind = type(policy).__name__
                fail(where, f"is a {kind}", "on hosts it is the name of a session's controller")
            continue
        each = (policy,)
        if has_kinds(domain):
            each = for_each_kind(policy, domain.kinds)
            if len(each) != len(domain.kinds):
                said = f"has {len(each)} policies for {len(domain.kinds)} kinds of regions"
                fail(where, said, "give one for each kind, or one that plays in all")
        for one in each:
            _check_policy(domain, where, one)
    if "random" not in scripted:
        fail("domain.scripted", "has no policy 'random'", "evaluation compares with it")
