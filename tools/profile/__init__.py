"""``irsql profile``: the engine's own profile of a step, joined back to the layers of the model."""
