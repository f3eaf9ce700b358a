"""The paper's traffic: every light of a grid is an agent, SUMO is the global simulator."""

from hinterland.domains.traffic.domain import Traffic, make

__all__ = ["Traffic", "make"]
