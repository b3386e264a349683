# syntax=docker/dockerfile:1
# docker build -f deploy/docker/worker.Dockerfile -t registry.example/s3bundler/worker .
ARG RUST=rust:1.95-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST} AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
    cargo build --release --locked --target-dir /target -p s3bundler \
    && cp /target/release/s3bundler /s3bundler

FROM ${RUNTIME}
COPY --from=build /s3bundler /usr/local/bin/s3bundler
# By number, so that runAsNonRoot can be checked.
USER 65532
ENTRYPOINT ["/usr/local/bin/s3bundler"]
