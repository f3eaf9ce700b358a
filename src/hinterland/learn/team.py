"""PPO of a whole team from segments that an older policy may have made.

The correction says what is done about that. With `vtrace` (the default) the learner first asks its
own network, as it is at the start of the update, for values and probabilities: targets and
advantages are V-trace's, the surrogate is clipped around that policy, and every sample weighs as
much as its truncated ratio to the policy that acted. So an update can move as far from where it
starts as PPO allows, however old the samples are ("decoupled" PPO, Hilton et al. 2022), and old
samples are weighed down, not up. With `clip` the surrogate is clipped around the policy that acted
and everything else is as the worker saw it: one forward pass less, right as long as the lag is a
version or two; samples that are outside of the clip range from the start teach nothing.
On samples of the learner's own policy the two are the same.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hinterland.core import EntityTrajectory, Segment
from hinterland.learn.gae import gae
from hinterland.learn.ppo import (
    Learner,
    PPOSettings,
    clipped_surrogate,
    in_minibatches,
    value_error,
    weighted,
)
from hinterland.learn.separation import into_groups, mix_rewards
from hinterland.learn.separation_cells import normalised
from hinterland.learn.vtrace import vtrace


class Credit(NamedTuple):
    """Who is paid for a reward: w·own + (1-w)·team, where `own` is that of the slot's group."""

    own: float
    team_reward: Literal["mean", "sum"]
    group: tuple[int, ...]
    """The group of each slot."""


def credited(trajectory: EntityTrajectory, credit: Credit) -> Float[Array, "time copy slots"]:
    """What each living entity is paid: its group's reward, mixed with the team's."""
    group, groups = jnp.asarray(credit.group), max(credit.group) + 1
    alive = trajectory.alive
    reward = into_groups(trajectory.reward, group, alive, groups)
    living = into_groups(alive.astype(jnp.int32), group, alive, groups) > 0
    mixed = mix_rewards(reward, living, credit.own, credit.team_reward)
    return jnp.where(alive, mixed[..., group], 0.0)


def _by_stream(function: Any, *streams: Array) -> Any:
    """A function of [time] arrays on [time, copy, slots] arrays."""
    flat = [x.reshape(x.shape[0], -1) for x in streams]
    found = jax.vmap(function, in_axes=1, out_axes=1)(*flat)
    return jax.tree.map(lambda x: x.reshape(streams[0].shape), found)


def prepared(
    network: Any, segment: Segment, settings: PPOSettings, correction: str, credit: Credit
) -> dict[str, Any]:
    """What the loss reads: [time, copy, ...], "carry" [copy, ...].

    "reference" and "value" are of the policy around which is clipped, "weight" is each sample's.
    Values of states outside of the segment are those that the worker gave them.
    """
    seen, how = segment.trajectory, (settings.discount, settings.trace)
    reward = credited(seen, credit)
    ended = jnp.broadcast_to(seen.ended[..., None], seen.alive.shape)
    done = ended | ~seen.next_alive
    batch: dict[str, Any] = {
        "observation": seen.observation,
        "central": segment.central,
        "mask": seen.mask,
        "action": seen.action,
        "reset": segment.reset,
        "carry": segment.carry,
        "alive": seen.alive,
        "acting": seen.acting & seen.alive,
    }
    if correction == "clip":
        advantage = _by_stream(lambda *x: gae(*x, *how), reward, seen.value, seen.next_value, done)
        weight, target = jnp.ones_like(advantage), advantage + seen.value
        return batch | {"reference": seen.log_probability, "value": seen.value, "weight": weight,
                        "advantage": advantage, "target": target}  # fmt: skip
    now, _, value = _unrolled(network, batch)
    later = jnp.concatenate([value[1:], seen.next_value[-1:]])
    # Of who is gone it is 0, or its value where it was truncated.
    next_value = jnp.where(ended | ~seen.next_alive, seen.next_value, later)
    log_ratio = jnp.where(batch["acting"], now - seen.log_probability, 0.0)
    corrected = _by_stream(lambda *x: vtrace(*x, *how), reward, value, next_value, done, log_ratio)
    return batch | {"reference": now, "value": value, "weight": corrected.weight,
                    "advantage": corrected.advantage, "target": corrected.target}  # fmt: skip


def _unrolled(network: Any, batch: dict[str, Any]) -> tuple[Array, Array, Array]:
    names = ("carry", "observation", "mask", "central", "reset", "action")
    return network.unroll(*(batch[name] for name in names))


def team_loss(
    network: Any,
    batch: dict[str, Any],
    clip: float | Array,
    entropy_weight: float | Array,
    settings: PPOSettings,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Policy and entropy terms as means over entities with a choice, value over living ones.

    Args:
        network: a `nets.TeamNetwork`, unrolled from the stored recurrent states.
        batch: as `prepared`.
        clip: range of the ratio (and of values, if they are clipped).
        entropy_weight: of the entropy bonus, now.
        settings: the value loss's weight and clipping.
    """
    log_probability, entropy, value = _unrolled(network, batch)
    acting, alive = batch["acting"], batch["alive"]
    log_ratio = jnp.where(acting, log_probability - batch["reference"], 0.0)
    ratio = jnp.exp(log_ratio)
    advantage = normalised(batch["advantage"], acting) * batch["weight"]
    error = value_error(value, batch["value"], batch["target"], clip, settings)
    terms = {
        "loss/policy": -_mean(clipped_surrogate(ratio, advantage, clip), acting),
        "loss/value": _mean(error, alive),
        "entropy": _mean(entropy, acting),
        "clip_fraction": _mean(jnp.abs(ratio - 1) > clip, acting),
        "kl": _mean(ratio - 1 - log_ratio, acting),
    }
    return weighted(terms, entropy_weight, settings), terms


def _mean(x: Array, counts: Array) -> Float[Array, ""]:
    return jnp.where(counts, x, 0.0).sum() / jnp.maximum(counts.sum(), 1)


def team_update(
    key: Key[Array, ""],
    learner: Learner,
    segment: Segment,
    settings: PPOSettings,
    correction: Literal["vtrace", "clip"],
    credit: Credit,
) -> tuple[Learner, dict[str, Array]]:
    """All epochs over one batch, in minibatches of whole copies; also the mean of each loss term.

    Args:
        key: consumed.
        learner: of one `nets.TeamNetwork`.
        segment: of all copies of the batch.
        settings: hyperparameters.
        correction: see the module.
        credit: who is paid.

    Returns:
        The learner, and means: the losses, "weight" (of the truncated ratios) and "weighed_down"
        (share of samples whose ratio to the acting policy is below 1/2).
    """
    batch = prepared(learner.network, segment, settings, correction, credit)

    def gradient(network: Any, chosen: Array, clip: Array, entropy_weight: Array) -> tuple:
        part = {
            name: jnp.take(x, chosen, axis=0 if name == "carry" else 1) for name, x in batch.items()
        }
        return jax.grad(team_loss, has_aux=True)(network, part, clip, entropy_weight, settings)

    copies = batch["carry"].shape[0]
    learner, terms = in_minibatches(key, learner, settings, copies, gradient)
    found = {name: x.mean() for name, x in terms.items()}
    found["weight"] = _mean(batch["weight"], batch["acting"])
    found["weighed_down"] = _mean(batch["weight"] < 0.5, batch["acting"])
    return learner, found
