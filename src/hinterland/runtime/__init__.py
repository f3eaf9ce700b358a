"""A runtime decides where work happens; it never changes what comes out."""

from hinterland.runtime.cluster import ClusterRuntime
from hinterland.runtime.local import LocalRuntime, Meters, keep_programs, over_block, use_32_bits

__all__ = ["ClusterRuntime", "LocalRuntime", "Meters", "keep_programs", "over_block", "use_32_bits"]
