"""Where results lie: Parquet tables in a folder or a bucket, and what keeps them whole."""
