"""What is wrong or remarkable in a table: measured columns come in, findings with evidence and a remedy go out."""
