"""What Renown answers, whoever asks: typed values ready for JSON, made from the store's rows.

Nothing here knows HTTP; the API and the CLI both speak these. A function that reads takes a
connection and returns an `Answer`. Null is a state and is said as one, never as zero or a default.
"""
