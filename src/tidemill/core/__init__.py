"""Values without I/O: time, identifiers, digests, schemas, records, the model and the error tree."""
