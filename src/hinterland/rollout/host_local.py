"""Experience of ONE agent in local simulators outside of JAX: many copies in one process.

As `scan.rollout`, step by step from outside: the same `Trajectory`, for the same learner.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from hinterland.core import AgentSpec, HostSession, Trajectory
from hinterland.rollout.windows import in_windows, log_probability_of


class HostLocalCopies:
    """All copies of one agent's local simulator, from empty on.

    A process cannot be stored in a checkpoint, so each stretch of training between two of them
    begins with new episodes. The first ones end early, each at another time, so that the copies do
    not all pass through the same part of an episode at once.

    Args:
        session: holds the copies; methods `reset(seed, agent)`, `reset_some(chosen [copy])` and
            `step(actions [copy], influence [copy, sources])`.
        spec: sizes and the time limit.
        policy: gives the width of recurrent states; as does
        predictor: the agent's influence predictor.
        agent: whose region it is.
        seed: of the session's own random numbers.
        copies: how many the session holds.
    """

    def __init__(
        self, session: HostSession, spec: AgentSpec, policy: Any, predictor: Any, agent: int,
        seed: int, copies: int,
    ) -> None:  # fmt: skip
        self._session, self._spec, self._copies = session, spec, copies
        self._seen = session.begin("reset", seed, agent)
        self._left = spec.horizon - np.arange(copies) * spec.horizon // copies
        self._reset = np.ones(copies, bool)
        self._hidden = policy.initial(copies)
        self._predictor_hidden = predictor.initial(copies)

    def rollout(
        self,
        key: Key[Array, ""],
        policy: Any,
        predictor: Any,
        windows: int,
        window: int,
        stopping: Callable[[], None],
    ) -> Trajectory:
        """`windows` x `window` steps of every copy; arguments as `scan.rollout`.

        `stopping` is called at every step and raises to end the work.
        """
        record: list[Trajectory] = []
        for t in range(windows * window):
            stopping()
            observation, reset = self._seen["observation"], self._reset
            self._hidden, self._predictor_hidden, *chosen = _choose(
                policy, predictor, key, t, self._hidden, self._predictor_hidden, reset,
                observation, self._seen["dset"],
            )  # fmt: skip
            action, influence, log_probability, value, before = map(np.asarray, chosen)
            moved = self._session.call("step", action, influence)
            self._left -= 1
            terminated = moved["terminated"]
            truncated = (self._left <= 0) & ~terminated
            done = terminated | truncated
            ended_value = np.zeros_like(value)
            if truncated.any():
                last = np.asarray(_value(policy, self._hidden, moved["observation"]))
                ended_value = np.where(truncated, last, 0.0)
            record.append(
                Trajectory(
                    observation=observation,
                    action=action,
                    log_probability=log_probability,
                    value=value,
                    next_value=ended_value,
                    reward=moved["reward"],
                    done=done,
                    reset=reset,
                    carry=before,
                )
            )
            if done.any():
                moved = {**moved, **self._session.call("reset_some", done)}
                self._left = np.where(done, self._spec.horizon, self._left)
            self._seen, self._reset = moved, done
        zeroed = jnp.where(self._reset[:, None], 0.0, self._hidden)
        following = np.asarray(_value(policy, zeroed, self._seen["observation"]))
        steps = jax.tree.map(lambda *x: np.stack(x), *record)
        return in_windows(steps, following, windows, window)


@jax.jit
def _choose(policy, predictor, key, t, hidden, predictor_hidden, reset, observation, dset):  # type: ignore[no-untyped-def]
    def zero_at_start(carry: Array) -> Array:
        return jnp.where(reset[:, None], 0.0, carry)

    action_key, influence_key = jax.random.split(jax.random.fold_in(key, t))
    before = zero_at_start(hidden)
    hidden, logits, value = policy.step(before, observation)
    predictor_hidden, influence_logits = predictor.step(zero_at_start(predictor_hidden), dset)
    action: Int[Array, " copy"] = jax.random.categorical(action_key, logits)
    influence = jax.random.categorical(influence_key, influence_logits)
    chosen = log_probability_of(action, logits)
    return hidden, predictor_hidden, action, influence, chosen, value, before


@jax.jit
def _value(policy, hidden, observation):  # type: ignore[no-untyped-def]
    return policy.step(hidden, observation)[2]
