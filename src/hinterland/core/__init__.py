"""The vocabulary of Hinterland; imports nothing else of ours."""

from hinterland.core.errors import UserError
from hinterland.core.keys import stream
from hinterland.core.protocols import Domain, GlobalSimulator, LocalSimulator, ScriptedPolicy
from hinterland.core.spec import AgentSpec
from hinterland.core.types import GlobalStep, InfluenceBatch, Step, Trajectory

__all__ = [
    "AgentSpec",
    "Domain",
    "GlobalSimulator",
    "GlobalStep",
    "InfluenceBatch",
    "LocalSimulator",
    "ScriptedPolicy",
    "Step",
    "Trajectory",
    "UserError",
    "stream",
]
