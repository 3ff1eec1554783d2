"""The subcommands of `esg`, one a file: each adds its arguments with `add` and does its work in `run`.

Only the standard library is imported at the top of these files, and what they need of ESG is where they need it, so
that `esg --help` is quick.
"""
