"""Ids of words, unique within a Document."""

from __future__ import annotations


def word_id(page: int, word: int) -> str:
    """`p001-w0001`: page and word count from 1."""
    return f"p{page:03d}-w{word:04d}"
