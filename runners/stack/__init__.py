"""A local Kafka, Flink and Beam without Docker: fetched once, started on loopback, stopped by pid and start time."""
