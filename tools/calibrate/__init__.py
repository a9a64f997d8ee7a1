"""What an engine's work costs on this machine: :mod:`probe` times products, :mod:`fit` explains the times."""
