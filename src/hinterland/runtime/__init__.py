"""A runtime decides where work happens; it never changes what comes out."""

from hinterland.runtime.local import LocalRuntime, over_block, use_cores

__all__ = ["LocalRuntime", "over_block", "use_cores"]
