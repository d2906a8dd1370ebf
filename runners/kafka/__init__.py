"""Kafka beside the pipelines: topics, a look into them, and how to reach a broker."""
