"""Pure cores and the Beam transforms that wire them. Modules named in docs/dataflow.md."""
