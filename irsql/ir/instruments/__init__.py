"""What watches the pass manager: one small class a file."""
