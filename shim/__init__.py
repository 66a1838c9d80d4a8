"""The machine that runs an EFI payload, and the people who watch: everything that knows Unicorn or the host."""
