"""Search servers: what is set up there, and the dashboards."""
