"""Templates: named, versioned configurations of a project, with what of them a job may change.

Owns `templates`, `template_versions`. Called by quotes and jobs, which fill in a configuration from one, and by `app`.
Invariants: a version never changes; versions count up from 1 without a gap; a name is given once in a project. Locks:
the template. It trains nothing and prices nothing: what it fills in is checked like any other configuration.
"""
