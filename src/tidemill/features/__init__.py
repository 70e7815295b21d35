"""Features of an entity as they were known at a moment: views and labelled rows come in, training sets go out."""
