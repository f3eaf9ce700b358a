"""A package of somebody else's: a domain of regions with influence, and one of entities."""
