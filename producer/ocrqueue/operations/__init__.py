"""What operators do with many jobs at once, and deleting them with all that is theirs.

`plan` has the steps, `faces` the methods of both clients, `batches` what they hand out for a batch; `deletion` removes
what deleted jobs have in storage.
"""
