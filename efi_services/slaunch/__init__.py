"""Dynamic launches as TrenchBoot does them: what a boot loader lays out, and what happens when a stub asks for one."""
