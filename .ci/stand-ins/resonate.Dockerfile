# Stands in for resonatehqio/resonate around a server binary that the environment names.
FROM ci.local/python:3.13
RUN apt-get -qq update \
 && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends wget >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY resonate-server /usr/local/bin/
EXPOSE 8001 9090
ENTRYPOINT ["resonate-server"]
CMD ["serve"]
