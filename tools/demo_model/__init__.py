"""The demo model: a story grammar, and the script that trains a small Llama on it.

Run it with ``python -m irsql.tools.demo_model``.
"""
