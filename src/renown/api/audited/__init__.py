"""What the API tells the audit log: who asked what, and how it was answered."""
