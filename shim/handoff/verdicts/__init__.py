"""Judging a hand-off: rules in a file for each subject, and what each comes to."""
