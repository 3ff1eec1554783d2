"""The two results, entities and groundings: their files, and the operations on them."""
