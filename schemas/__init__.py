"""Record types, declared once; nothing here imports Beam."""
