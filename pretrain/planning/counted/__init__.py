"""One training step, counted as a GPU would run it, on a machine without: launches, bytes, FLOPs, waits, memory.

The step runs on tensors without content that take every branch of a GPU (``models/device_kind.py``). What it counts is
exact for operations that are one kernel each, and for the rest as said in ``ledger.py``. Times are estimates from the
figures of data sheets (``cards.py``); nothing here was measured.
"""
