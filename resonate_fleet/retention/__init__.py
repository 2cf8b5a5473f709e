"""Looks into the store of the real server v0.9.8, and deletes old jobs from it.

`schema` knows the tables, `sqlite` and `postgres` open the two kinds of store, `contents` counts,
`prune` deletes. Both kinds share the SQL of `prune` and `contents`; what opens, lists, measures and
names a family is each one's own. `:name` marks a value.
"""
