"""What users write and read: platforms, and the description of a run."""
