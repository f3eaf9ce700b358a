"""The warehouse commissioning domain of DIALS (Suau et al., NeurIPS 2022, section 5.2).

n x n learning robots stand inside a ring of scripted robots; each collects items from the twelve
shelf cells of its 5 x 5 region, every one of which it shares with one neighbour.
"""

from hinterland.domains.warehouse.domain import Warehouse, make

__all__ = ["Warehouse", "make"]
