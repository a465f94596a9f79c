# One image for one version of the app: docker build --build-arg VERSION=version2 --tag stickshift:2.0 .
#
# Base images are arguments, for mirrors and other tastes. The runtime's takes glibc, libgcc_s and root certificates.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
WORKDIR /build
COPY . .
# Without `local`: no embedded DynamoDB in production. Dependencies stay compiled in the cache mount when sources change.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked --no-default-features --package stickshift \
    && cp target/release/stickshift /stickshift

FROM ${RUNTIME_IMAGE}
# Which file of themes/ is the version, without its ending.
ARG VERSION=version1
# The commit it is built from.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Stickshift" \
      org.opencontainers.image.description="One version of a web app whose sessions stick, served behind CloudFront" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /stickshift /usr/local/bin/stickshift
COPY themes/${VERSION}.toml /etc/stickshift/theme.toml
# Nobody, by number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/stickshift", "health"]
ENTRYPOINT ["/usr/local/bin/stickshift"]
CMD ["serve", "--theme", "/etc/stickshift/theme.toml"]
