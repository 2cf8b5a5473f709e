"""The client of this application: a dispatcher, and the load generator of the kit."""
