"""Other ways to run the same model, for comparison: other forms of SQL, and llama.cpp."""
