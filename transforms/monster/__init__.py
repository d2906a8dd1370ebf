"""Monster Agent: records parsed, traded for documents, and looked through."""
