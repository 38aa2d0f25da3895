"""How fast a run is, beside what a user would pick instead: the training step and the way of the data.

Contestants of a training step live in processes of their own (memory is measured per process) and step in turn, so that
whatever else the machine does hits all alike. Ratios between contestants of one run are what to trust.
"""
