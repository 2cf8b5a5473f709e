"""The worker of this application: its durable functions, started on the kit."""
