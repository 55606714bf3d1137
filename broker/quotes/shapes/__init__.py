"""API shapes of quotes: the configuration that is sent, the estimate, prices and offers that are answered.

Jobs and reports show the same configuration and estimate by these shapes. They decide nothing.
"""
