"""A submission to the Lux AI S2 competition: `main.py`, its modules and a policy's weights."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

MODULES = ("state", "features", "actions", "placement", "agent", "numpy_grid")
"""Files beside this one that need NumPy only, and of ours only each other."""
MAIN = '''\
"""A player of Lux AI Season 2; made by `hinterland export lux`. Needs NumPy only.

On Kaggle `agent_fn` is called; run as a program it talks with the engine's runner, one line of JSON
each way.
"""

import json
import os
import sys
from argparse import Namespace

import numpy as np

# Kaggle runs this text without a name of its own; the archive is unpacked there.
HERE = os.path.dirname(os.path.abspath(__file__)) if "__file__" in globals() else (
    "/kaggle_simulations/agent"
)
sys.path.insert(0, HERE)

from player.agent import Agent  # noqa: E402
from player.numpy_grid import decide  # noqa: E402

with open(os.path.join(HERE, "settings.json")) as file:
    SETTINGS = json.load(file)
with np.load(os.path.join(HERE, "weights.npz")) as file:
    WEIGHTS = {name: file[name] for name in file.files}
AGENTS = {}


def agent_fn(observation, configurations):
    """The actions of one turn."""
    player, step = observation.player, observation.step
    if step == 0 or player not in AGENTS:
        AGENTS[player] = Agent(
            player, lambda seen, masks: decide(WEIGHTS, seen, masks), **SETTINGS
        )
    return AGENTS[player](step, json.loads(observation.obs))


if __name__ == "__main__":
    for line in sys.stdin:
        told = json.loads(line)
        told["obs"] = json.dumps(told["obs"])
        print(json.dumps(agent_fn(Namespace(**told), None)), flush=True)
'''


def submission(
    weights: Mapping[str, np.ndarray], slots: int, water: bool
) -> dict[str, str | Mapping[str, np.ndarray]]:
    """Its files by name: text, or arrays.

    Args:
        weights: of `entity_grid.to_numpy`.
        slots: of each side, as in training.
        water: whether factories may water lichen, as in training.
    """
    files: dict[str, str | Mapping[str, np.ndarray]] = {
        "main.py": MAIN,
        "weights.npz": weights,
        "settings.json": json.dumps({"slots": slots, "water": water}) + "\n",
        "player/__init__.py": "",
    }
    for name in MODULES:
        text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        files[f"player/{name}.py"] = text.replace("hinterland.domains.lux.", "player.")
    return files
