"""How much checking a table costs, beside other validators."""
