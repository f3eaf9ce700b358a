"""Two colonies in a ring: entities in regions, traced by JAX, or with a host for the whole."""

import numpy as np

from hinterland.domains import load_domain
from hinterland.testing.hosted import HostedDomain


def make(agents: int) -> object:
    """Traced."""
    domain = load_domain("colony", agents, {"regions": 2})
    domain.roles = np.arange(agents) % 2  # type: ignore[attr-defined]
    return domain


def make_hosted(agents: int) -> object:
    """The ring on a host, regions in JAX."""
    domain = HostedDomain("colony", agents, options={"regions": 2})
    domain.roles = np.arange(agents) % 2  # type: ignore[attr-defined]
    return domain
