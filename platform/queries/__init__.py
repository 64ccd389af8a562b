"""DuckDB over a store: views, named queries, and strangers' SQL."""
