"""What is recorded of a run: calls, accesses, and who owned which bytes."""
