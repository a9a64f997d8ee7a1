"""The runtime: loading weights into a database and running compiled programs there.

Nothing here imports torch, transformers or the compiler: a loaded database is all that generating needs.
"""
