"""The commands: each module declares its options and what it runs, and loads what it needs only when it runs."""
