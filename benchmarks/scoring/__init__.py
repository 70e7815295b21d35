"""What scoring a table costs beyond the predictions themselves."""
