"""The subcommands of `esg`, one per file: `add` adds the arguments, `run` does the work.

At the top, these files import only the standard library and ESG modules that need no more than that themselves; the
rest is imported where it is needed, so that `esg --help` is quick.
"""
