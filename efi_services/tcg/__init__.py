"""Measured boot: hash algorithms, registers, and the log that tells what went into them (TCG PC Client PFP)."""
