# One file, one target a role: worker, client, steward, devserver, chaos.
# The base images are named here and nowhere else; those of the services stand in compose.yaml.
ARG PYTHON_IMAGE=python:3.13-slim
ARG UV_IMAGE=astral/uv:0.13.9

FROM ${UV_IMAGE} AS uv

FROM ${PYTHON_IMAGE} AS build
COPY --from=uv /uv /usr/local/bin/
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src

# Changes with the lock file only.
FROM build AS dependencies
RUN uv venv /venv
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=requirements.lock,target=requirements.lock \
    VIRTUAL_ENV=/venv uv pip install --require-hashes --requirements requirements.lock

FROM build AS code
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --quiet --wheel --out-dir /dist \
      --build-constraints requirements-build.lock --require-hashes \
 && uv pip install --no-deps --target /app /dist/*.whl \
 && rm -rf /app/bin /app/.lock \
 && cp -r worker client /app/ \
    # A clone under a narrow umask has files that no other user may read.
 && chmod -R go+rX /app

FROM ${PYTHON_IMAGE} AS common
RUN groupadd --gid 10001 fleet \
 && useradd --uid 10001 --gid fleet --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin fleet \
    # A volume that is mounted here for the first time takes the owner over.
 && install -d -o fleet -g fleet /journal /presence /state /data
COPY --from=dependencies /venv /venv
COPY --chmod=644 docker/discovery.py docker/preflight.sh docker/probe.py docker/relay.py /usr/local/lib/
COPY --from=code /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    # Where the kit is, also for `python -P`.
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
# Functions of one's own go here too: `python -m` looks in the working directory first.
WORKDIR /app
USER 10001:10001
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="resonate-fleet" \
      org.opencontainers.image.description="The reference worker fleet for Resonate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The kernel drops a SIGTERM for process 1 while there is no handler for it. So the signals are
# blocked until resonate_fleet/contract/start.py handles them.
FROM common AS client
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python", "-m", "client"]

# Puts the rooms together: `fleet ps`, `fleet quarantine`, and chaos inside a cluster.
FROM common AS chaos
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python", "-m", "resonate_fleet"]

FROM common AS devserver
EXPOSE 8001 9090
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --start-interval=500ms --retries=3 \
    CMD ["python", "-IS", "/usr/local/lib/probe.py", "/health", "8001", "RESONATE_SERVER__PORT"]
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python", "-m", "resonate_fleet.server"]

FROM common AS steward
EXPOSE 9465 9466
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --start-interval=500ms --retries=3 \
    CMD ["python", "-IS", "/usr/local/lib/probe.py", "/readyz", "9465", "STEWARD_PORT"]
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python", "-m", "resonate_fleet.steward"]

# Last, so that a build that names no target makes a worker.
FROM common AS worker
EXPOSE 9464
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --start-interval=500ms --retries=3 \
    CMD ["python", "-IS", "/usr/local/lib/probe.py", "/readyz", "9464", "WORKER_PORT"]
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python", "-m", "worker"]
