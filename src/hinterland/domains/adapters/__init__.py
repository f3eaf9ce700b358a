"""Hinterland's systems for other libraries; each module here needs an optional package."""
