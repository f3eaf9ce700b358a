"""For users: does my own domain keep the contracts?

Loaded when first used: a session's process needs `cue_session` and no more.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.testing.conformance import check_domain

__all__ = ["check_domain"]


def __getattr__(name: str) -> Any:
    if name == "check_domain":
        from hinterland.testing.conformance import check_domain

        return check_domain
    raise AttributeError(f"module 'hinterland.testing' has no attribute {name!r}")
