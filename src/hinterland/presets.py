"""What a run is where nothing else is said: by preset, by where it is simulated."""

from collections.abc import Mapping
from typing import Any

from hinterland.core.options import DomainOptions

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


def preset_of(values: Mapping[str, Any], declared: type[DomainOptions]) -> dict[str, Any]:
    """The settings that explicit values win over, those of the domain's own options among them.

    Args:
        values: what was set explicitly; some settings decide others.
        declared: by the domain.
    """
    name = values.get("preset", "fast")
    return {**(PAPER if name == "paper" else {}), **declared.preset(name, values)}
