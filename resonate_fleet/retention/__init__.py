"""Looks into the store of the real server v0.9.8, and deletes old jobs from it.

`database` knows the tables and counts, `sqlite` and `postgres` open the two kinds of store, `prune`
deletes. Both kinds share the SQL of `prune` and `database`; what opens, lists, measures and names a
family is each one's own. `:name` marks a value.
"""
