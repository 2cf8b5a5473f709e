"""The embedded server: the protocol of Resonate Server v0.9.8 in one small Python process.

It is for laptops, demonstrations and tests: `python -m resonate_fleet.server`, or
`resonate_fleet.server.server.Server` inside a test. It answers as the real server does, request
for request, and leaves the real one's adversities in: a hint goes to a random member of its
group, is dropped when nobody listens or the listener's buffer is full, waits for the message loop
and leaves in batches; a task that nobody claims is hinted at again only after the retry timeout;
lapsed leases are noticed by a scan.

It is not for production. One process and one thread; no authentication, no Postgres or MySQL, no
delivery but to open streams (messages for others are dropped, and logged); its tables are its own,
so it cannot open the real server's file. With `--store FILE` every answered
request survives `kill -9`; like the real server on SQLite it does not sync the disk at each
request, so a power cut may lose the last moments.

How to read it: `protocol` says what a request may look like; `store` holds the tables; `promises`,
`tasks` and `schedules` (with `cron`) say what each request does to them; `state` puts these
together as `apply`, `tick` and `take_outgoing`, which know no clock and no network. Around it
`streams` (who listens) and `server` (ports, pages and the two loops).
"""
