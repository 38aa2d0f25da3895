"""How stages run: processes or Dask, progress bars."""
