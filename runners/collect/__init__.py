"""Collecting: datagrams and lines from the network to Kafka, with a spool on disk."""
