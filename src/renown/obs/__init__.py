"""What the running program tells its operator: logs and metrics."""
