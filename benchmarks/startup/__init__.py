"""How long it takes until the package, and the help of the command line, are there."""
