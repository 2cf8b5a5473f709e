"""The store of the real server v0.9.8 from outside: what is in it, and how old jobs leave it.

`schema` knows the tables, `sqlite` and `postgres` open the two kinds of store, `survey` counts,
`prune` deletes. Everything but the opening is the same SQL for both; `:name` marks a value.
"""
