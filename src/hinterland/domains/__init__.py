"""Systems to learn in. One folder each; a user's own domain is found in the same way."""

from hinterland.domains.registry import known_domains, load_domain

__all__ = ["known_domains", "load_domain"]
