"""The judge of a domain: shapes, finiteness, determinism, and the factorisation test.

The factorisation test defines the project; see `testing.factorisation`.
"""

from hinterland.core import (
    Domain,
    global_simulator_of,
    is_entity_domain,
    is_game,
    is_host,
    kinds_of,
)
from hinterland.testing.attributes import check_attributes
from hinterland.testing.entities import check_entity_domain, check_games
from hinterland.testing.host_agents import check_host_agents
from hinterland.testing.host_entities import check_host_entities
from hinterland.testing.host_locals import check_host_locals
from hinterland.testing.notes import NOTE
from hinterland.testing.traced_agents import check_local, check_traced_agents

__all__ = ["NOTE", "check_domain"]


def check_domain(domain: Domain, *, seed: int = 0, episodes: int = 2) -> list[str]:
    """Runs every check; returns one line per check passed, and notes (which begin with `NOTE`).

    Args:
        domain: the domain to judge.
        seed: of the random states and actions it is judged on.
        episodes: to follow of every policy that is played: random, scripted and constant actions.

    Raises:
        UserError: the first check that failed: what was expected, what came, and where to look.
    """
    check_attributes(domain)
    if is_game(domain):
        return check_games(domain, seed, episodes)
    if is_host(kinds_of(domain)[0].local_simulator):
        check_host_locals(domain, seed)
    elif not is_entity_domain(domain):
        check_local(domain, seed)
    on_host = is_host(global_simulator_of(domain))
    if is_entity_domain(domain):
        return (check_host_entities if on_host else check_entity_domain)(domain, seed, episodes)
    return (check_host_agents if on_host else check_traced_agents)(domain, seed, episodes)
