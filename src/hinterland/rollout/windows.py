"""The end of every rollout: from what was recorded step by step to what a learner learns from."""

import jax
from jaxtyping import Array, Float, Int

from hinterland.core import Trajectory
from hinterland.core.types import HostOrDevice


def log_probability_of(
    action: Int[Array, " *copies"], logits: Float[Array, "*copies actions"]
) -> Float[Array, " *copies"]:
    """Of the chosen actions."""
    every = jax.nn.log_softmax(logits)
    return jax.numpy.take_along_axis(every, action[..., None], -1)[..., 0]


def in_windows(
    steps: Trajectory, following: Float[HostOrDevice, " *copies"], windows: int, window: int
) -> Trajectory:
    """Cuts [steps, copy, ...] into [windows, time, copy, ...].

    Args:
        steps: with the recurrent state of every step, and a `next_value` that holds only what
            cannot be read off the step after: that of the last state where an episode was
            truncated, and 0 elsewhere.
        following: values of the states after the last step.
        windows: number of windows.
        window: steps of each.
    """
    xp = steps.value.__array_namespace__()
    later = xp.concatenate([steps.value[1:], following[None]])
    steps = steps._replace(next_value=xp.where(steps.done, steps.next_value, later))
    cut = jax.tree.map(lambda x: x.reshape(windows, window, *x.shape[1:]), steps)
    return cut._replace(carry=cut.carry[:, 0])
