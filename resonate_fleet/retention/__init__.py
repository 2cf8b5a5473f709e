"""Looks into the store of the real server v0.9.8, and deletes old jobs from it.

`schema` knows the tables, `sqlite` and `postgres` open the two kinds of store, `survey` counts,
`prune` deletes. Apart from the opening, the SQL is the same for both; `:name` marks a value.
"""
