"""Segments any number of photos on one machine or many, so that a killed run loses nothing and repeats nothing.

The photos are divided into shards once, and each shard's files are written whole, under names that only depend on the
shard. A shard that is computed twice, because a machine died, therefore replaces its own files by equal ones.
"""
