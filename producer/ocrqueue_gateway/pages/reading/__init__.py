"""What the reader's modules ask for beside the native API: a page's words in little room, words that are looked for in
a whole document, and the pictures of pages.
"""
