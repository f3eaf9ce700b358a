"""Proximal policy optimisation (Schulman et al. 2017): ONE update, whatever was experienced.

Its samples are cells (`cells`): what a group of slots does at one step. Each slot for itself is
independent PPO; separated trajectories of entities that come and go are M-PPO (MagMA, Takács et
al.). The loss is a weighted sum over cells, L = Σ w (policy + c_v value - c_e entropy), whose
weights and normalised advantages are fixed for a whole minibatch. So a minibatch may be cut into
pieces whose gradients are added up: memory is bounded and the result is the same.

Where an older policy may have acted, the correction says what is done about it. With `vtrace` the
learner first asks its own network, as it is at the start of the update, for values and
probabilities: targets and advantages are V-trace's, the surrogate is clipped around that policy,
and every sample weighs as much as its truncated ratio to the policy that acted. So an update can
move as far from where it starts as PPO allows, however old the samples are ("decoupled" PPO, Hilton
et al. 2022), and old samples are weighed down, not up. With `clip` the surrogate is clipped around
the policy that acted and everything else is as that policy saw it: one forward pass less, right as
long as the lag is a version or two. On samples of the learner's own policy the two are the same.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import Policy, Segment
from hinterland.learn.cells import Cells, Credit, as_cells, cell_weights, normalised
from hinterland.learn.separation import into_groups

SIZES = {"1": (1, 1), "2-3": (2, 3), "4-7": (4, 7), "8+": (8, None)}
"""Classes of group sizes (lowest, highest) by which clipping is reported.

A group's ratio is the product of its members', so large groups leave the clip range far sooner.
"""
LOSSES = ("loss/policy", "loss/value", "entropy", "kl")


class PPOSettings(NamedTuple):
    """Hyperparameters; `annealing` is the number of updates over which schedules reach 0."""

    epochs: int
    minibatches: int
    learning_rate: float
    clip: float
    clip_value: bool
    value_weight: float
    entropy_weight: float
    gradient_norm: float
    adam_epsilon: float
    discount: float
    trace: float
    anneal_rate: bool
    anneal_clip: bool
    anneal_entropy: bool
    annealing: int


class How(NamedTuple):
    """What decides an update beside learner and experience; all of it static.

    Attributes:
        settings: hyperparameters.
        credit: which cells there are, and who is paid.
        correction: see the module.
        pieces: into which each minibatch is cut, to bound memory.
        by_step: minibatches are of single steps; else of whole sequences, for networks with memory.
    """

    settings: PPOSettings
    credit: Credit = Credit()
    correction: Literal["clip", "vtrace"] = "clip"
    pieces: int = 1
    by_step: bool = False


class Learner(NamedTuple):
    """What learns: a network, its optimiser's state, and the number of updates made."""

    network: Any
    optimiser: Any
    updates: Int[Array, ""]


def make_optimiser(settings: PPOSettings) -> optax.GradientTransformation:
    """Gradient clipping by global norm (0: none) and Adam without its step size."""
    steps = [optax.scale_by_adam(eps=settings.adam_epsilon)]
    if settings.gradient_norm > 0:
        steps.insert(0, optax.clip_by_global_norm(settings.gradient_norm))
    return optax.chain(*steps)


def first_learner(network: Any, settings: PPOSettings) -> Learner:
    """A network that has not learned anything."""
    return Learner(network, make_optimiser(settings).init(network), jnp.int32(0))


class Batch(NamedTuple):
    """Experience and its cells; [time, sequence, ...], of a whole update or of a minibatch."""

    segment: Segment
    cells: Cells
    weight: Any = None
    """[time, sequence, group]: of each cell in the loss of policy and entropy."""
    value_weight: Any = None

    def take(self, chosen: Int[Array, " sequence"]) -> "Batch":
        """Some of the sequences."""
        carry = jnp.take(self.segment.carry, chosen, axis=0)
        return self.mapped(lambda x: jnp.take(x, chosen, axis=1), carry)

    def mapped(self, function: Callable[[Array], Array], carry: Array) -> "Batch":
        """`function` of all leaves but the recurrent states, which have no time axis."""
        rest = self._replace(segment=self.segment._replace(carry=None))
        rest = jax.tree.map(function, rest)
        return rest._replace(segment=rest.segment._replace(carry=carry))


def loss(
    network: Policy, batch: Batch, clip: float | Array, entropy_weight: float | Array, how: How
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Clipped surrogate, value and entropy terms of (a piece of) a minibatch, as weighted sums.

    Args:
        network: unrolled from the stored recurrent states.
        batch: with advantages as they shall count (`normalised`).
        clip: range of the ratio, and of values if they are clipped.
        entropy_weight: of the entropy bonus, now.
        how: the value loss's weight and clipping, and whose cells they are.

    Returns:
        The loss, and sums to be added up over pieces: `LOSSES`, weighted, and numbers of cells
        ("cells/...") and of those outside of the clip range ("clipped/..."), by the group's size.
    """
    segment, cells, settings = batch.segment, batch.cells, how.settings
    acting = segment.acting & segment.alive
    number, groups = how.credit.numbers(), batch.weight.shape[-1]
    parts = ("probabilities", "entropy", "critic")
    found = [
        into_groups(x, number, member, groups)
        for x, member in zip(network.unroll(segment), (acting, acting, segment.alive), strict=True)
    ]
    log_probability, entropy, value = (
        how.credit.team_sum(x) if how.credit.separation.is_global(part) else x
        for part, x in zip(parts, found, strict=True)
    )
    # Cells that do not count have no ratio: exp of a difference there may overflow.
    log_ratio = jnp.where(batch.weight > 0, log_probability - cells.log_probability, 0.0)
    ratio = jnp.exp(log_ratio)
    near = jnp.clip(ratio, 1 - clip, 1 + clip)
    # Schulman et al. 2017, equation 7.
    surrogate = jnp.minimum(ratio * cells.advantage, near * cells.advantage)
    error = (value - cells.target) ** 2
    if settings.clip_value:
        clipped = cells.value + jnp.clip(value - cells.value, -clip, clip)
        error = jnp.maximum(error, (clipped - cells.target) ** 2)
    terms = {
        "loss/policy": -(batch.weight * surrogate).sum(),
        "loss/value": (batch.value_weight * error).sum(),
        "entropy": (batch.weight * entropy).sum(),
        "kl": (batch.weight * (ratio - 1 - log_ratio)).sum(),
    }
    total = (
        terms["loss/policy"]
        + settings.value_weight * terms["loss/value"]
        - entropy_weight * terms["entropy"]
    )
    return total, terms | _counts(cells, jnp.abs(ratio - 1) > clip, how.credit)


def _counts(
    cells: Cells, outside: Bool[Array, "time sequence group"], credit: Credit
) -> dict[str, Array]:
    """Cells, and cells outside of the clip range, by the size of their group."""
    counts: dict[str, Array] = {}
    for name, (lowest, highest) in SIZES.items() if credit.group else [("1", SIZES["1"])]:
        within = cells.kept & (cells.size >= lowest)
        within = within if highest is None else within & (cells.size <= highest)
        counts |= {f"cells/{name}": within.sum(), f"clipped/{name}": (within & outside).sum()}
    return counts


def gradient(
    network: Policy, batch: Batch, clip: float | Array, entropy_weight: float | Array, how: How
) -> tuple[Any, dict[str, Array]]:
    """The gradient of `loss` on a minibatch, from `how.pieces` of it one after another.

    Only one piece's activations are in memory at a time. Arguments as of `loss`; the number of
    sequences is a multiple of the pieces.
    """

    def one(batch: Batch) -> tuple[Any, dict[str, Array]]:
        return jax.grad(loss, has_aux=True)(network, batch, clip, entropy_weight, how)

    if how.pieces == 1:
        return one(batch)
    sequences = batch.weight.shape[1]
    orders = jnp.arange(sequences).reshape(how.pieces, -1)
    start = jax.tree.map(jnp.zeros_like, jax.eval_shape(lambda: one(batch.take(orders[0]))))
    add = lambda sums, piece: (jax.tree.map(jnp.add, sums, one(batch.take(piece))), None)  # noqa: E731
    return jax.lax.scan(add, start, orders)[0]


def update(
    key: Key[Array, ""], learner: Learner, segment: Segment, how: How
) -> tuple[Learner, dict[str, Array]]:
    """All epochs over one batch of experience.

    Args:
        key: consumed.
        learner: before it.
        segment: [time, sequence, slots]: windows of all copies side by side.
        how: see `How`; sequences (or steps) are a multiple of minibatches x pieces.

    Returns:
        The learner, and sums as of `loss`, over all minibatches, with "minibatches", "active" and
        "grid" (cells with a choice, and all cells), and of V-trace "weight" and "weighed_down";
        `measures` turns them into metrics.
    """
    settings, keep_key = how.settings, key
    if how.credit.separation.keep == "random":
        keep_key, key = jax.random.split(key)
    learner = learner._replace(network=learner.network.renewed(segment.observation))
    now = None
    if how.correction == "vtrace":
        probability, _, value = learner.network.unroll(segment)
        now = (probability, value)
    cells = as_cells(keep_key, segment, how.credit, settings.discount, settings.trace, now)
    steps = cells.kept.shape[0] * cells.kept.shape[1]
    per_step = (cells.kept.sum() / steps, cells.valued.sum() / steps)
    whole = Batch(segment, cells)
    if how.by_step:
        carry = jnp.zeros((steps, *segment.carry.shape[1:]))
        whole = whole.mapped(lambda x: x.reshape(1, steps, *x.shape[2:]), carry)
    left = 1 - jnp.minimum(learner.updates / max(settings.annealing, 1), 1.0)
    rate = settings.learning_rate * jnp.where(settings.anneal_rate, left, 1.0)
    clip = settings.clip * jnp.where(settings.anneal_clip, left, 1.0)
    entropy_weight = settings.entropy_weight * jnp.where(settings.anneal_entropy, left, 1.0)
    optimiser = make_optimiser(settings)

    def minibatch(state: tuple[Any, Any], chosen: Array) -> tuple[tuple[Any, Any], dict]:
        network, optimiser_state = state
        batch = whole.take(chosen)
        advantage = normalised(batch.cells.advantage, batch.cells.kept)
        if batch.cells.weight is not None:
            advantage = advantage * batch.cells.weight
        weights = (
            cell_weights(some, how.credit.separation.normaliser, each)
            for some, each in zip((batch.cells.kept, batch.cells.valued), per_step, strict=True)
        )
        batch = Batch(batch.segment, batch.cells._replace(advantage=advantage), *weights)
        slope, terms = gradient(network, batch, clip, entropy_weight, how)
        change, optimiser_state = optimiser.update(slope, optimiser_state)
        network = jax.tree.map(lambda p, c: p - rate * c, network, change)
        return (network, optimiser_state), terms

    orders = jax.vmap(lambda k: jax.random.permutation(k, whole.cells.kept.shape[1]))(
        jax.random.split(key, settings.epochs)
    )
    orders = orders.reshape(settings.epochs * settings.minibatches, -1)
    (network, optimiser_state), terms = jax.lax.scan(
        minibatch, (learner.network, learner.optimiser), orders
    )
    sums = {name: x.sum() for name, x in terms.items()}
    sums["minibatches"] = jnp.int32(settings.epochs * settings.minibatches)
    sums["active"], sums["grid"] = (cells.size > 0).sum(), jnp.int32(cells.size.size)
    if cells.weight is not None:
        sums["weight"] = jnp.where(cells.kept, cells.weight, 0.0).sum()
        sums["weighed_down"] = (cells.kept & (cells.weight < 0.5)).sum()
        sums["weighed"] = cells.kept.sum()
    return Learner(network, optimiser_state, learner.updates + 1), sums


def measures(sums: dict[str, float]) -> dict[str, float]:
    """Metrics out of the sums of any number of updates and learners.

    Mean losses, the clip fraction over all cells and by group size (of sizes that occurred), the
    fraction of cells that were active; of V-trace the mean truncated ratio ("weight") and the share
    of samples whose ratio to the acting policy is below 1/2 ("weighed_down").
    """
    found = {name: sums[name] / sums["minibatches"] for name in LOSSES}
    by_size = {
        name: (sums[f"clipped/{name}"], sums[f"cells/{name}"])
        for name in SIZES
        if f"cells/{name}" in sums
    }
    clipped, cells = (sum(x) for x in zip(*by_size.values(), strict=True))
    found["clip_fraction"] = clipped / max(cells, 1)
    if len(by_size) > 1:
        found |= {f"clip_fraction/size/{n}": out / of for n, (out, of) in by_size.items() if of}
    if "weight" in sums:
        found |= {name: sums[name] / max(sums["weighed"], 1) for name in ("weight", "weighed_down")}
    return found | {"active_fraction": sums["active"] / sums["grid"]}
