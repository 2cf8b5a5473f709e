# Stands in for resonatehqio/resonate: the last stage of its Dockerfile at v0.9.8 word for word, on
# another Debian, around a real server's binary or, behind the same path, the embedded server.
# Context: resonate-server, and the image `devserver` for the embedded one.
FROM ci.local/python:3.13 AS runtime

RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates wget && rm -rf /var/lib/apt/lists/*

COPY resonate-server /usr/local/bin/resonate-server

EXPOSE 8001 9090

ENTRYPOINT ["resonate-server"]
CMD ["serve"]

FROM runtime AS embedded
COPY --from=devserver /venv /venv
COPY --from=devserver /app /app
