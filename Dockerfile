# One image, five services: docker run tandem -m services.signaling
FROM python:3.12-slim-bookworm AS build
COPY pyproject.toml requirements.lock /src/
WORKDIR /src
RUN pip install --no-cache-dir uv==0.13.9 \
 && uv venv /opt/venv \
 && VIRTUAL_ENV=/opt/venv uv pip install --no-cache --compile-bytecode -r pyproject.toml -c requirements.lock --require-hashes

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /data tandem && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/venv /opt/venv
COPY services /app/services
COPY proto /app/proto
RUN /opt/venv/bin/python -m compileall -q /app
WORKDIR /app
# The driver works its tables of dates out when they are met: 22 MB less in two services.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 CLICKHOUSE_DRIVER_LASY_DATE_LUT=1
USER 10001
ENTRYPOINT ["python"]
CMD ["-m", "services.api"]
