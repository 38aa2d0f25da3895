"""One run: components, engine, loop, validation, resume."""
