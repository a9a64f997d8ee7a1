"""Makes the parts of the documentation that the code already says: pages of dialects and passes, and the picture."""
