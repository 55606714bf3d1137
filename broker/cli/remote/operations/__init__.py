"""What ops sees and does: queues, pools, the page that redraws itself, decisions and their undoing, over REST.

A module for each part; `broker/cli/queues.py` puts those of queues beside the simulation, which needs no broker.
"""
