"""Profiles of base models: shapes, FLOPs, bytes and kernel launches, measured on torch's meta device.

Called by `trainer profile` (which also writes the catalogue's, from `catalogue.yaml`) and by training/memory_plan, for
a model that the catalogue does not know. A profile is `pricing.catalog.profile.BaseModelProfile`: what estimates of
time and memory stand on. May import families, for their layouts and default modules.

No weight is read and no code of a model folder is run. What is measured must be a polynomial of the sizes: where it is
not, making the profile fails (`NotAPolynomial`) rather than mislead.
"""
