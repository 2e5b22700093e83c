FROM python:3.11.15-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/reelay
ENV PATH=/opt/reelay/bin:$PATH
WORKDIR /build
COPY requirements-runtime.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements-runtime.lock
COPY . .
RUN pip install --no-deps --no-build-isolation ./clients/python .

FROM python:3.11.15-slim-bookworm
RUN useradd --uid 10001 --home-dir /var/lib/reelay --create-home --shell /usr/sbin/nologin reelay
COPY --from=build /opt/reelay /opt/reelay
ENV PATH=/opt/reelay/bin:$PATH PYTHONUNBUFFERED=1 REELAY_DATA_DIR=/var/lib/reelay
USER 10001:10001
WORKDIR /var/lib/reelay
EXPOSE 8000
# For the default command; whatever runs another one says its own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["reelay"]
CMD ["api", "--host", "0.0.0.0", "--port", "8000"]
