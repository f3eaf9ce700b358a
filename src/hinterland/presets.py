"""What a run is where nothing else is said: by preset, by domain, by where it is simulated."""

import re
from typing import Any

PAPER: dict[str, Any] = {
    # Tables 4-6 of the paper with the public code's real behaviour where the two differ.
    "steps": 4_000_000,
    "refreshes": 1,
    "evaluations": 40,
    "evaluate_episodes": 100,
    "copies": 1,
    "window": 8,
    "windows": 16,
    "entropy_weight": 0.01,
    "discount": 0.99,
    "trace": 0.95,
    "epochs": 3,
    "minibatches": 4,
    "learning_rate": 2.5e-4,
    "clip": 0.1,
    "anneal_clip": True,
    "anneal_entropy": False,
    "clip_value": True,
    "value_weight": 1.0,
    "gradient_norm": 0.0,
    "adam_epsilon": 1e-8,
    "predictor_epochs": 300,
    "predictor_batch": 32,
    "predictor_rate": 1e-4,
}
_TRAFFIC: dict[str, Any] = {
    "network": "feed-forward",
    "predictor": "feed-forward",
    "predictor_hidden": 128,
    "evaluate_episodes": 16,
    "final_episodes": 64,
}
_COLONY: dict[str, Any] = {
    "agents": 16,
    "steps": 100_000,
    "simulation": "global",
    "network": "feed-forward",
    "hidden": 64,
    "trunk": 64,
    "copies": 32,
    "window": 32,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 2e-3,
    "value_weight": 0.25,
    "entropy_weight": 0.01,
    "discount": 0.95,
    "trace": 0.9,
}
_LUX: dict[str, Any] = {
    # The paper's (thesis, appendix; equal to its runs' arguments), but for the slots. Its
    # minibatches of 512 steps are of one side each, hence 16 of both.
    "agents": 128,
    "simulation": "global",
    "network": "feed-forward",
    "steps": 102_400,
    "refreshes": 1,
    "evaluations": 25,
    "evaluate_episodes": 36,
    "final_episodes": 36,
    "copies": 16,
    "window": 256,
    "epochs": 10,
    "minibatches": 16,
    "pieces": 32,
    "learning_rate": 2e-4,
    "anneal_rate": False,
    "clip": 0.2,
    "anneal_clip": False,
    "clip_value": True,
    "value_weight": 0.25,  # its loss has a factor of one half
    "entropy_weight": 1e-3,
    "anneal_entropy": False,
    "gradient_norm": 0.5,
    "adam_epsilon": 1e-5,
    "discount": 0.99,
    "trace": 0.95,
}
_COMBAT: dict[str, Any] = {
    # Paid for their own deeds only, units win three of four and stay there; with half, nine of ten.
    **_COLONY,
    "agents": 10,
    "steps": 400_000,
    "hidden": 128,
    "trunk": 128,
    "credit": 0.5,
    "value_weight": 0.5,
    "discount": 0.97,
    "trace": 0.95,
}
_SMAX: dict[str, Any] = {
    **_COLONY,
    # Three marines: with 64 copies, windows of 32 and less entropy they win four battles of five.
    "agents": 3,
    "steps": 3_000_000,
    "network": "gru",
    "copies": 128,
    "window": 64,
    "value_weight": 0.5,
    "entropy_weight": 0.02,
    "discount": 0.99,
    "trace": 0.95,
}
_PETTINGZOO: dict[str, Any] = {
    # Environments of others are processes: eight copies in two of them (see `preset_of`).
    "simulation": "global",
    "schedule": "lockstep",
    "steps": 200_000,
    "evaluate_episodes": 8,
    "final_episodes": 32,
    "network": "feed-forward",
    "hidden": 64,
    "trunk": 64,
    "copies": 8,
    "window": 32,
    "windows": 4,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 1e-3,
    "entropy_weight": 0.01,
    "discount": 0.99,
    "trace": 0.95,
}
DOMAIN_PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    # What a domain wants otherwise than the warehouse, for which the defaults were found.
    ("colony", "fast"): _COLONY,
    ("lux", "paper"): {**_LUX, "windows": 1},
    ("lux", "fast"): {
        **_LUX, "map": 16, "agents": 32, "steps": 40_000, "evaluations": 10, "evaluate_episodes": 8,
        "final_episodes": 16, "channels": 16, "blocks": "1", "copies": 8, "window": 128,
        "epochs": 3, "minibatches": 8, "pieces": 16, "learning_rate": 3e-3,
    },
    ("combat", "fast"): _COMBAT,
    ("smax", "fast"): _SMAX,
    ("pettingzoo", "fast"): _PETTINGZOO,
    ("pettingzoo", "paper"): {"simulation": "global", "schedule": "lockstep"},
    # With fewer minibatches some lights stay at switching without end. With many lights it is the
    # global simulator that costs, hence few refreshes from few episodes.
    ("traffic", "fast"): {
        **_TRAFFIC, "hidden": 32, "trunk": 32, "epochs": 4, "minibatches": 8, "discount": 0.95,
        "refreshes": 3, "predictor_episodes": 8, "predictor_batch": 2,
    },
    ("traffic", "paper"): {
        **_TRAFFIC, "window": 16, "windows": 8,
        "predictor_episodes": 32, "predictor_epochs": 100, "predictor_batch": 1,
    },
}  # fmt: skip
LUX_SLOTS = ((48, 128), (24, 64), (0, 32))
"""(least side of the board, slots of each side), if --agents is not given."""
HOST_COPIES = {"copies": 8, "windows": 16}
"""Preset fast on a global simulator outside of JAX: a copy is a process, batches stay as large."""

HOST_LOCAL_COPIES = {"copies": 32, "windows": 4}
"""The same for local simulators outside of JAX: between 10 and 50 in one process cost least."""

OWN_NETWORK = {
    "hidden": 256, "trunk": 128, "epochs": 2, "minibatches": 4,
    "predictor_batch": 1, "predictor_epochs": 20,
}  # fmt: skip
"""What two towns were learned with. Few episodes make few minibatches: with 15 in each, predictors
hardly leave their start, where every lane gets 0, 1, 2 or 3 cars in a step with the same chance."""

_GRID = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")


def preset_of(values: dict[str, Any]) -> dict[str, Any]:
    """The settings that explicit values win over.

    Args:
        values: what was set explicitly; some settings decide others.
    """
    name = values.get("preset", "fast")
    preset: dict[str, Any] = {
        **(PAPER if name == "paper" else {}),
        **DOMAIN_PRESETS.get((values.get("domain", ""), name), {}),
    }
    if values.get("domain") == "traffic" and name == "fast":
        if values.get("simulation") == "global":
            preset |= HOST_COPIES
        elif values.get("local") == "sumo" or "net" in values:
            preset |= HOST_LOCAL_COPIES
        if "net" in values:
            preset |= OWN_NETWORK
    if values.get("domain") == "lux" and isinstance(side := values.get("map"), int):
        preset["agents"] = next((slots for least, slots in LUX_SLOTS if side >= least), 1)
    if values.get("domain") == "pettingzoo":
        preset["copies_per_process"] = _half_of({**preset, **values})
    if "agents" not in values and (sizes := _GRID.fullmatch(str(values.get("grid")))):
        preset["agents"] = int(sizes[1]) * int(sizes[2])
    return preset


def _half_of(values: dict[str, Any]) -> int:
    """Copies in each of two processes for a worker's, or the most that divide them evenly."""
    copies, actors = values.get("copies", 128), values.get("actors") or 1
    if not (isinstance(copies, int) and copies > 0 and isinstance(actors, int) and actors > 0):
        return 1  # refused for what they are
    all_of = copies * actors
    return next(each for each in range(-(-all_of // 2), 0, -1) if all_of % each == 0)
