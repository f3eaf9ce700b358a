"""`hinterland.check`: does a domain keep the contracts?"""

from typing import TYPE_CHECKING, Any

from hinterland.api.start import machine
from hinterland.api.systems import settings_of

if TYPE_CHECKING:
    from hinterland.core import Domain


def check(
    domain: "str | Domain", *, episodes: int = 2, seed: int = 0, **settings: Any
) -> list[str]:
    """Judges a domain: shapes, determinism, and the factorisation test.

    Args:
        domain: an installed domain's name, "MODULE:FACTORY" of your own, or a domain object.
        episodes: so many are followed.
        seed: of the states and actions that it is judged on.
        settings: `agents`, and the domain's own, where it is made by name.

    Returns:
        A line for each check that it passed, and notes, which begin with "note: ".

    Raises:
        UserError: the first check that failed: what was expected, what came, and where to look.
    """
    from hinterland.config import make_config
    from hinterland.core.errors import UserError
    from hinterland.domains import load_domain
    from hinterland.testing import check_domain

    with machine(None):
        values, own = settings_of(domain, settings), {"agents"}
        if isinstance(domain, str):
            config = make_config(values)
            domain = load_domain(config.domain, config.agents, config.domain_options)
            own |= config.domain_options.keys()
        if unused := settings.keys() - own:
            raise UserError(f"{min(unused)} decides nothing about the domain: leave it out")
        return check_domain(domain, seed=seed, episodes=episodes)
