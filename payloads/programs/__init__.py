"""Small EFI programs, one behaviour each, with the outcome a run of each must have (``expected.toml``)."""
