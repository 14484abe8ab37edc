"""Bulk files: tables of the index as Parquet, CSV or JSON lines, at one block per chain.

A process of its own writes them. Nothing that serves requests imports this package, nor pyarrow.
"""
