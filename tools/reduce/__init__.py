"""Delta debugging of IR: ``irsql-reduce`` makes a module small while a command still fails on it."""
