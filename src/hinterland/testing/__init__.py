"""For users: does my own domain keep the contracts?"""

from hinterland.testing.conformance import check_domain

__all__ = ["check_domain"]
