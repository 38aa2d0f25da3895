"""Speed of a run beside the common alternatives: the training step, and the data path.

Contestants of a training step live in processes of their own (memory is measured per process) and step in turn, so that
other load on the machine affects all alike. Trust ratios between contestants of one run.
"""
