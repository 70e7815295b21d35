"""What it costs to read a CSV file and a table of PostgreSQL."""
