"""The subcommands of `esg`, one a file: each adds its arguments with `add` and does its work in `run`.

At the top of these files only the standard library is imported, and of ESG what needs no more than that itself; the
rest is imported where it is needed, so that `esg --help` is quick.
"""
