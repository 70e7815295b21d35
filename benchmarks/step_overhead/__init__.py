"""What a step costs beyond its work: 200 no-op steps, tracked, then again from the cache."""
