"""Entities of a photo and what words mean among them: the two results, their files, and what can be done with them."""
