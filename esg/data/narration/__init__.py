"""Texts about a picture: facts about its entities, captions, referring expressions, and a judge of claims."""
