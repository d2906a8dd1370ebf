"""The command line and what each runner needs."""
