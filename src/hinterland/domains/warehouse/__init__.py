"""The warehouse commissioning domain of DIALS (Suau et al., NeurIPS 2022, section 5.2).

n x n learning robots stand inside a ring of scripted robots; each collects items from the twelve
shelf cells of its 5 x 5 region, every one of which it shares with one neighbour.

Names are loaded when first used: the options must not cost a start of JAX.
"""

from typing import TYPE_CHECKING

from hinterland.core.lazy import names_of

if TYPE_CHECKING:
    from hinterland.domains.warehouse.domain import Warehouse, make
    from hinterland.domains.warehouse.options import Options

__getattr__ = names_of(__name__)
