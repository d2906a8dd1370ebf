"""What `huntbeam report` and `huntbeam serve` show of a folder of results: views, and DuckDB that runs them."""
