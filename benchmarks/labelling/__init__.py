"""What a labelling queue of 100,000 tasks costs an annotator who waits."""
