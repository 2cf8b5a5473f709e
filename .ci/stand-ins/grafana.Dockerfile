# Stands where grafana/grafana would: it says that it is well on the same path, and shows nothing.
FROM ci.local/python:3.13
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates wget && rm -rf /var/lib/apt/lists/*
RUN install -d -o 472 /var/lib/grafana /srv/api && echo '{"database": "ok"}' >/srv/api/health
USER 472
EXPOSE 3000
CMD ["python3", "-m", "http.server", "--directory", "/srv", "3000"]
