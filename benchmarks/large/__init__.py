"""Tables larger than the memory that they may take."""
