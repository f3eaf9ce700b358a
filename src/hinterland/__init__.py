"""Train very many learning agents in one large coupled system.

Data flow: global simulator → (d-set, influence) datasets → influence predictors → local simulators
→ trajectories → credit → PPO → policies → evaluation on the global simulator.
"""

__version__ = "0.1.0"
