"""``python launch/benchmark.py gpu``: one command that says on any GPU whether the code is right, how fast, and why.

Each part writes its results before the next one begins, so a run that is cut off keeps its answers. ``--tiny`` runs
every line of it on a CPU, in small sizes.
"""
