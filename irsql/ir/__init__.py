"""The IR core: ops, types, regions, text form, verification, rewriting and passes. Imports nothing of irsql."""
